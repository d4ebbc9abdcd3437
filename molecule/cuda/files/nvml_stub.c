/* A stand-in for NVIDIA's libnvidia-ml.so.1: the functions that cuda-check calls, answering as the environment says.
 *
 *   NVML_STUB_INIT    what nvmlInit returns (an nvmlReturn_t, 0 by default)
 *   NVML_STUB_COUNT   how many GPUs there are (1)
 *   NVML_STUB_BROKEN  index of a GPU that does not answer (none)
 *   NVML_STUB_ERROR   what that GPU answers (15, GPU is lost)
 *   NVML_STUB_LOAD    a file that exists while a program uses the GPU, with the number of its process (none)
 *
 * Signatures as in nvml.h. Build: cc -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.VERSION nvml_stub.c
 *
 * Copyright (c) 2026, the haven.gpu contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct memory { unsigned long long total, free, used; };

static int setting(const char *name, int otherwise)
{
	const char *value = getenv(name);
	return value ? atoi(value) : otherwise;
}

/* The process that uses the GPU, 0 for none. */
static unsigned int user_of_gpu(void)
{
	const char *path = getenv("NVML_STUB_LOAD");
	FILE *file = path ? fopen(path, "r") : NULL;
	unsigned int process = 0;
	if (file && fscanf(file, "%u", &process) != 1)
		process = 0;
	if (file)
		fclose(file);
	return process;
}

static unsigned int index_of(const void *device) { return (unsigned int)(uintptr_t)device - 1; }

int nvmlInitWithFlags(unsigned int flags) { (void)flags; return setting("NVML_STUB_INIT", 0); }

int nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
	snprintf(version, length, "%s", "535.104.05");
	return 0;
}

int nvmlSystemGetCudaDriverVersion(int *version) { *version = 12020; return 0; }

int nvmlDeviceGetCount_v2(unsigned int *count) { *count = (unsigned int)setting("NVML_STUB_COUNT", 1); return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device)
{
	if ((int)index == setting("NVML_STUB_BROKEN", -1))
		return setting("NVML_STUB_ERROR", 15);
	*device = (void *)((uintptr_t)index + 1);
	return 0;
}

int nvmlDeviceGetName(void *device, char *name, unsigned int length)
{
	(void)device;
	snprintf(name, length, "%s", "NVIDIA Stub");
	return 0;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned int length)
{
	snprintf(uuid, length, "GPU-00000000-0000-0000-0000-%012u", index_of(device));
	return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory)
{
	(void)device;
	memory->total = 40ULL << 30;
	memory->used = user_of_gpu() ? 512ULL << 20 : 0;
	memory->free = memory->total - memory->used;
	return 0;
}

int nvmlDeviceGetMinorNumber(void *device, unsigned int *minor) { *minor = index_of(device); return 0; }

struct utilization { unsigned int gpu, memory; };

int nvmlDeviceGetUtilizationRates(void *device, struct utilization *rates)
{
	(void)device;
	rates->gpu = user_of_gpu() ? 87 : 0;
	rates->memory = 0;
	return 0;
}

struct process { unsigned int pid; unsigned long long used; unsigned int gpu_instance, compute_instance; };

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, struct process *found)
{
	unsigned int process = user_of_gpu(), room = *count;
	(void)device;
	*count = process != 0;
	if (*count > room)
		return 7; /* NVML_ERROR_INSUFFICIENT_SIZE */
	if (process) {
		found->pid = process;
		found->used = 512ULL << 20;
		found->gpu_instance = found->compute_instance = 0xffffffff;
	}
	return 0;
}

const char *nvmlErrorString(int result) { (void)result; return "an error of the stub"; }
