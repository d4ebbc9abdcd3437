/* A stand-in for NVIDIA's libcuda.so.1: the functions that cuda-check and tests/gpu call, answering as the environment says.
 *
 *   CUSTUB_INIT   what cuInit returns (a CUresult, 0 by default); -1: it crashes, -2: it never returns
 *   CUSTUB_COUNT  how many devices there are (1)
 *   NVML_STUB_LOAD  the file that shows nvml_stub.c that this process uses the GPU, while there is a context (none)
 *
 * No name begins with CUDA_, since cuda-check takes such variables away.
 * Signatures as in cuda.h. Build: cc -shared -fPIC -Wl,-soname,libcuda.so.1 -o libcuda.so.VERSION cuda_stub.c
 *
 * Copyright (c) 2026, the haven.gpu contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int setting(const char *name, int otherwise)
{
	const char *value = getenv(name);
	return value ? atoi(value) : otherwise;
}

int cuInit(unsigned int flags)
{
	int answer = setting("CUSTUB_INIT", 0);
	(void)flags;
	if (answer == -1)
		abort();
	while (answer == -2)
		pause();
	return answer;
}

int cuDeviceGetCount(int *count) { *count = setting("CUSTUB_COUNT", getenv("CUDA_VISIBLE_DEVICES") ? 0 : 1); return 0; }

int cuGetErrorName(int result, const char **name)
{
	*name = result == 802 ? "CUDA_ERROR_SYSTEM_NOT_READY" : result ? "CUDA_ERROR_OF_THE_STUB" : "CUDA_SUCCESS";
	return 0;
}

int cuDeviceGet(int *device, int index) { *device = index; return 0; }

int cuCtxCreate_v2(void **context, unsigned int flags, int device)
{
	const char *path = getenv("NVML_STUB_LOAD");
	FILE *file = path ? fopen(path, "w") : NULL;
	(void)flags;
	(void)device;
	*context = (void *)1;
	if (file) {
		fprintf(file, "%d", getpid());
		fclose(file);
	}
	return 0;
}

int cuCtxDestroy_v2(void *context)
{
	const char *path = getenv("NVML_STUB_LOAD");
	(void)context;
	return path ? unlink(path) != 0 : 0;
}

int cuMemAlloc_v2(unsigned long long *address, size_t size) { (void)size; *address = 1; return 0; }

int cuMemFree_v2(unsigned long long address) { (void)address; return 0; }

int cuMemsetD8_v2(unsigned long long address, unsigned char value, size_t size)
{
	(void)address;
	(void)value;
	(void)size;
	usleep(1000);
	return 0;
}

int cuCtxSynchronize(void) { return 0; }
