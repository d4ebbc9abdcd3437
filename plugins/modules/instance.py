#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create, update and delete instances.

Longer than 500 lines because all but 60 are documentation, which Ansible reads from this file.
"""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: Create, update and delete instances
version_added: "0.1.0"
description:
  - Brings one or several instances to a state, with the same options on every cloud. A list of names is processed in
    one call, and its instances are created in parallel.
  - The project and the name identify an instance. The call that creates it sets both, so that a lost answer, a killed
    run, or a second controller at the same time does not create a second instance.
  - On OpenStack, a server in ERROR that never ran is ignored, and deleted when its name is used again. If creating an
    instance fails, the error gives nova's reason, and its server, ports, floating IP, and volumes are deleted.
  - Options that are not given are neither compared with an existing instance nor changed.
  - Tags, firewalls, larger disks, disk types, termination protection, shutdown behavior, and O(ec2.imdsv2) are changed
    in place, on OpenStack also O(public_address), O(openstack.floating_ip), and the name. O(instance_type) is changed
    while the instance is stopped. Any other difference is an error that names it, unless O(recreate) is set.
extends_documentation_fragment:
  - haven.gpu.cloud
  - haven.gpu.clouds.instances
  - haven.gpu.cloud.attributes
options:
  name:
    description:
      - One name or a list of names, each of 1 to 63 letters, digits, dots, dashes, or underscores.
      - Exactly one of O(name) and O(id) is required.
    type: list
    elements: str
  id:
    description:
      - One id or a list of ids of existing instances that carry the project's tag, whatever their names are. Their
        state can be V(running), V(stopped), V(restarted), V(shelved), or V(absent).
      - If one of them fails, the others are still processed, and the error names the failed one.
    type: list
    elements: str
  state:
    description:
      - V(present) creates the instance if it does not exist, and then it runs. A stopped instance stays stopped.
      - V(running) creates or starts the instance.
      - V(stopped) stops it. V(restarted) restarts it, or starts it if it is stopped. Both fail if it does not exist.
      - V(shelved), on OpenStack only, stops it, keeps its disk as an image, and gives back its capacity and GPU, which
        you still pay for while it is stopped. V(running) brings it back when there is capacity.
      - V(rebuilt), on OpenStack only, creates its root disk again on each run, from O(image) or its current image, and
        keeps its id, addresses, and volumes. All data on the root disk is lost.
      - V(absent) deletes it. Data disks are kept unless O(delete_volumes) or their own C(delete_with_instance) says
        otherwise.
    type: str
    choices: [present, running, stopped, restarted, shelved, rebuilt, absent]
    default: present
  image:
    description:
      - The image to create the instance from. Required to create one.
      - Only O(image.id) is compared with an existing instance. A name or a parameter means the newest image at the time
        of creation, so that a newer image is not a difference.
    type: dict
    suboptions:
      id:
        description: The id of the image.
        type: str
      name:
        description: A name, or a pattern with C(*) and C(?). The newest image that matches is used.
        type: str
      owner:
        description:
          - The owner of the image found by O(image.name), as an account number or an alias.
          - By default, only the account's own images and those of Amazon are considered, because anyone can publish an
            image under any name. On OpenStack, these are the images of the OpenStack project and of the operator, and
            those shared with the project. The owner is the id of an OpenStack project there. With it, the images that
            this project offers to everybody (community) are considered, too.
        type: str
      parameter:
        description: >-
          On EC2, the SSM parameter that contains the id, such as those that AWS publishes for its Deep Learning images.
        type: str
  instance_type:
    description:
      - The instance type (on OpenStack, the flavor). Required to create an instance.
    type: str
  key_pair:
    description:
      - The name of a key pair in the project that was created with M(haven.gpu.keypair).
      - Like O(ssh_keys), it is for a new instance. An instance without a key pair cannot get one later.
    type: str
  firewalls:
    description:
      - Names of firewalls in the project that were created with M(haven.gpu.firewall), or ids. A name only matches
        firewalls with the project's mark. Give any other security group by its id.
      - By default, a new instance gets the network's default group.
    type: list
    elements: str
  subnet:
    description:
      - The id of the subnet. OpenStack reports it only for instances that were created with it.
    type: str
  availability_zone:
    description: The availability zone.
    type: str
  public_address:
    description:
      - Whether the instance has a public address. A new one has none unless this is V(true).
      - On OpenStack, this is a floating IP that is allocated for it and released with it. It can be changed later.
    type: bool
  private_address:
    description: The address in the subnet, for a single instance only.
    type: str
  root_volume:
    description:
      - The system disk. On OpenStack, it is a volume only with O(openstack.boot_from_volume) or if an option is given
        here.
    type: dict
    suboptions:
      size_gib:
        description: The size in GiB, by default the image's. It can be increased in place, but never reduced.
        type: int
      type:
        description: The cloud's disk type. The default on EC2 is V(gp3).
        type: str
      encrypted:
        description:
          - Whether the disk is encrypted. On EC2, a new one is unless this is V(false). On OpenStack, the disk type
            decides, and V(true) fails if that type does not encrypt.
        type: bool
      delete_with_instance:
        description: Whether the disk is deleted with the instance. A new one is unless this is V(false).
        type: bool
  data_volumes:
    description:
      - More disks. They are created with the instance and cannot be added to an existing one.
    type: list
    elements: dict
    suboptions:
      device:
        description:
          - The device name to attach it as, by default V(/dev/sdf) and following. On OpenStack it is only recorded in
            the volume's metadata, and the instance chooses its own device name.
        type: str
      size_gib:
        description: The size in GiB. It can be increased in place, but never reduced.
        type: int
        required: true
      type:
        description: The cloud's disk type. The default on EC2 is V(gp3).
        type: str
      encrypted:
        description:
          - Whether the disk is encrypted. On EC2, a new one is unless this is V(false). On OpenStack, the disk type
            decides, and V(true) fails if that type does not encrypt.
        type: bool
      delete_with_instance:
        description: Whether the disk is deleted with the instance. A new one is kept unless this is V(true).
        type: bool
  user_data:
    description:
      - User data for cloud-init, in any format that it supports. Ours is sent along with it (see O(record_host_key)).
      - It cannot be changed later, and is compared with the instance's only if it is given. OpenStack does not
        return it, so a salted fingerprint is kept in the tag C(haven:user-data).
    type: str
  ssh_keys:
    description:
      - Public keys that may log in to the account that the image comes with, in addition to that of O(key_pair). They
        are lines of C(authorized_keys), of any type that sshd knows, such as those of a FIDO token, which not every
        cloud can import as a key pair.
      - cloud-init puts them into a new instance. On an existing one, they are neither compared nor changed.
    type: list
    elements: str
    default: []
  login_user:
    description:
      - The user to log in as. It is recorded in the tag C(haven:login-user) for the inventory, and used by O(wait=ssh).
    type: str
  tags:
    description:
      - Further tags. C(Name) and names that begin with C(haven:) or C(aws:) are reserved.
      - On OpenStack, tags are the server's metadata. Their names consist of letters, digits, spaces, and C(-_:.).
    type: dict
  purge_tags:
    description: Whether to remove tags that are not in O(tags).
    type: bool
    default: false
  spot:
    description:
      - Create a spot instance, with a one-time request. An empty dictionary means at most the on-demand price.
      - Not available on OpenStack, where it is an error.
    type: dict
    suboptions:
      max_price:
        description: The maximum price, in dollars per hour.
        type: str
  shutdown_behavior:
    description: What happens when the instance is shut down from inside. An error on OpenStack, which always stops it.
    type: str
    choices: [stop, terminate]
  termination_protection:
    description:
      - Whether the API refuses to terminate the instance. With O(state=absent) or O(recreate), V(false) removes the
        protection first.
      - On OpenStack, this is the server's lock, which refuses all other changes and also applies to others. This module
        removes it for a moment to make the changes that you ask for.
    type: bool
  hibernation:
    description: Whether stopping preserves the memory. Only for new instances. An error on OpenStack.
    type: bool
  record_host_key:
    description:
      - Whether to read the instance's ed25519 host key from its console, once, and keep it in the tag
        C(haven:host-key).
      - This adds a part to the user data that makes cloud-init print the host keys at every boot.
      - Set it to V(false) for images without cloud-init. Their user data is then sent unchanged.
    type: bool
    default: true
  host_key_source:
    description:
      - How the host key of a new instance is learned. With V(console), the instance creates it, and it is read from the
        console.
      - With V(injected), it is created here and sent with the user data, so that it is known from the start, even if a
        cloud has no console or a slow one. It is not stored here, but it stays in the user data, and anyone who can
        read that B(can impersonate this instance). On EC2 these are the users with
        C(ec2:DescribeInstanceAttribute); on OpenStack, the operators; and on the instance, every process that can
        open the metadata address, unless P(haven.gpu.egress#role) prevents that.
      - It applies when an instance is created. After O(state=rebuilt), the key is read from the console.
    type: str
    choices: [console, injected]
    default: console
  host_key_signer:
    description:
      - With O(host_key_source=injected), the file of your SSH certificate authority's key on the controller. This is
        the private key, without a passphrase, or the public key, ending in C(.pub), if an agent has the private key.
      - It signs the new host key for the name C(NAME.PROJECT), without an expiry date. An inventory
        P(haven.gpu.instances#inventory) with O(haven.gpu.instances#inventory:host_key_authority) trusts such
        certificates instead of tags.
    type: path
  wait:
    description:
      - How long to wait. V(running) waits until the instances are in the requested state and their host keys are known.
        V(ssh) also waits until each has answered a strictly verified SSH handshake through the O(hops). V(none) does
        not wait.
    type: str
    choices: [running, ssh, none]
    default: running
  wait_timeout:
    description:
      - The maximum time to wait, in seconds.
      - If sshd refuses the login after it has shown the right host key, that is final 30 seconds after the first
        refusal, or when the console says that cloud-init has finished.
    type: int
    default: 600
  private_key:
    description: The file of the private key for the instances, for O(wait=ssh).
    type: path
  allow_stop:
    description: Whether a running instance may be stopped and started again to change its O(instance_type).
    type: bool
    default: false
  recreate:
    description:
      - Whether to terminate and create again an instance that differs in something that cannot be changed. Its root
        disk is lost.
    type: bool
    default: false
  delete_volumes:
    description:
      - With O(state=absent), also delete the disks that were created with the instances of these names and kept.
      - On OpenStack, a data disk that was kept is attached again, with its data, to the next instance of that name that
        asks for one at that device, unless that one is smaller.
    type: bool
    default: false
notes:
  - Anyone who can write tags decides which machine you trust. Strict SSH connections rely on the tag
    C(haven:host-key), so a person who can change the tags of these instances (C(ec2:CreateTags)) can redirect
    connections. Grant that permission only to those who may also log in, and never to the instances' own profile.
  - On EC2, creating instances needs the permissions C(ec2:DescribeInstances), C(ec2:DescribeImages),
    C(ec2:RunInstances), C(ec2:CreateTags), and C(ec2:GetConsoleOutput). Further options need those of their own calls.
    The error names a missing permission.
  - On OpenStack, it needs the role C(member). Anyone who can change a server's metadata decides which machine you
    trust.
  - OpenStack has no client tokens. If two controllers create an instance of the same name at the same time, the one
    that was created first, or has the lower id, is kept, and each controller deletes only the one that it created.
  - EC2 takes one call to create each instance, one to read its console, and one to write its tag.
seealso:
  - module: haven.gpu.instance_info
  - module: haven.gpu.firewall
  - module: haven.gpu.keypair
  - plugin: haven.gpu.instances
    plugin_type: inventory
author:
  - The haven.gpu contributors (@haven-gpu)
"""

EXAMPLES = r"""
- name: Create a private notebook instance and wait for SSH
  haven.gpu.instance:
    cloud: ec2
    project: pathology
    name: jupyter-demo
    image: {name: "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)*", owner: amazon}
    instance_type: g6.xlarge
    key_pair: alice
    firewalls: [notebooks]
    subnet: subnet-0ad3b8c1f5e6a7b90
    root_volume: {size_gib: 100}
    data_volumes: [{size_gib: 500}]
    login_user: ubuntu
    wait: ssh
    hops: [{host: gate.example.org, user: sshuser}]

- name: Create three workers in parallel, from the newest image that AWS publishes
  haven.gpu.instance:
    cloud: ec2
    project: pathology
    name: [worker-1, worker-2, worker-3]
    image:
      parameter: /aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id
    instance_type: g6.xlarge
    spot: {max_price: "0.60"}

- name: Change to a larger GPU, which requires a stop
  haven.gpu.instance:
    cloud: ec2
    project: pathology
    name: jupyter-demo
    instance_type: g6e.xlarge
    allow_stop: true

- name: Stop it for the night
  haven.gpu.instance:
    cloud: ec2
    project: pathology
    name: jupyter-demo
    state: stopped

- name: Create an instance on OpenStack with a public address
  haven.gpu.instance:
    cloud: openstack
    project: pathology
    name: jupyter-demo
    image: {name: "ubuntu-24.04-cuda-*"}
    instance_type: gpu.a100.1
    key_pair: alice
    firewalls: [notebooks]
    public_address: true
    login_user: ubuntu
    openstack: {cloud: aida, floating_ip_pool: public}

- name: Give its GPU back for the night and keep its disk
  haven.gpu.instance:
    cloud: openstack
    project: pathology
    name: jupyter-demo
    state: shelved
    openstack: {cloud: aida}

- name: Delete it with its data
  haven.gpu.instance:
    cloud: ec2
    project: pathology
    name: jupyter-demo
    state: absent
    delete_volumes: true
"""

RETURN = r"""
instances:
  description:
    - The instances as they are now, in the order of O(name). Absent ones are left out.
    - In check mode, the existing instances as they are.
    - After a failure, the instances that exist in spite of it.
  returned: always, if there are any
  type: list
  elements: dict
  contains:
    id:
      description: The cloud's id.
      type: str
      sample: i-0ad3b8c1f5e6a7b90
    name:
      description: The name in the project.
      type: str
      sample: jupyter-demo
    project:
      description: The project.
      type: str
      sample: pathology
    cloud:
      description: The cloud.
      type: str
      sample: ec2
    region:
      description: The region.
      type: str
      sample: eu-north-1
    availability_zone:
      description: The availability zone.
      type: str
      sample: eu-north-1a
    state:
      description:
        - One of C(pending), C(running), C(stopping), C(stopped), C(shelved), C(failed), C(terminating), and
          C(terminated). Only OpenStack has C(shelved) and C(failed), which means a server in ERROR.
      type: str
      sample: running
    instance_type:
      description: The instance type.
      type: str
      sample: g6.xlarge
    gpu:
      description:
        - Its GPUs, with the memory of each, or V(none). On OpenStack, model and memory are known only from the names
          that the operator chose, so that the model may be C(GPU) or C(VGPU), and the memory 0. If the cloud does not
          say how many GPUs there are, if any, the count is 0, and the model may be C(unknown).
      type: dict
      sample: {model: L4, count: 1, memory_gib: 22.4}
    image:
      description: The id of the image that it was created from.
      type: str
      sample: ami-0ad3b8c1f5e6a7b90
    private_address:
      description: The private address.
      type: str
      sample: 10.0.0.20
    public_address:
      description: The public address. It can change when the instance is stopped and started.
      type: str
      sample: null
    subnet:
      description: The id of the subnet.
      type: str
      sample: subnet-0ad3b8c1f5e6a7b90
    key_pair:
      description: The key pair that it was created with.
      type: str
      sample: alice
    firewalls:
      description: The names of its firewalls.
      type: list
      elements: str
      sample: [notebooks]
    launched_at:
      description: When it was last started, in UTC.
      type: str
      sample: "2026-03-01T09:00:00Z"
    spot:
      description: Whether it is a spot instance.
      type: bool
      sample: false
    host_key:
      description: Its ed25519 host key, as recorded in its tags, or V(none) if it is not known.
      type: str
      sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAr2m4Tn0f8P0mB4W7i6bq2y1lJt9o3m5Zk7h0s8Qx1d
    login_user:
      description: The user to log in as, as recorded in its tags.
      type: str
      sample: ubuntu
    volumes:
      description:
        - Its disks. C(size_gib), C(type), and C(encrypted) are V(none) if they were not read, which takes another
          call.
      type: list
      elements: dict
      sample:
        - id: vol-0ad3b8c1f5e6a7b90
          device: /dev/xvda
          root: true
          delete_with_instance: true
          size_gib: 100
          type: gp3
          encrypted: true
    tags:
      description: All its tags.
      type: dict
      sample: {Name: jupyter-demo, "haven:project": pathology, "haven:generation": "1"}
"""

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ..module_utils._ansible_module import HavenModule
from ..module_utils._cloud import Cloud
from ..module_utils._clouds import package
from ..module_utils._converge import Patience, converge
from ..module_utils._models import Spec
from ..module_utils._module import Outcome, argument_spec, hops_from_options, run
from ..module_utils._options import INSTANCE, specs
from ..module_utils._plan import check_supported
from ..module_utils._ssh.checks import lines_of_keys
from ..module_utils._ssh.hops import WantedHop, key_of
from ..module_utils._ssh.identities import require_file

if TYPE_CHECKING:
    from ..module_utils._ssh.handshake import Route


class Wanted(NamedTuple):
    specs: list[Spec]
    hops: tuple[WantedHop, ...]
    params: dict[str, Any]


def read(params: dict[str, Any]) -> Wanted:
    wanted = Wanted(specs(params), hops_from_options(params), params)
    check_supported(wanted.specs[0], package(params["cloud"]).TRAITS)
    if params["wait"] == "ssh":
        # Before anything is created that costs money.
        require_file(params["private_key"], "The private_key")
        for number, hop in enumerate(wanted.hops, start=1):
            require_file(key_of(hop), f"The key of hop {number}")
    return wanted


def ensure(cloud: Cloud, wanted: Wanted, check: bool) -> Outcome:
    params = wanted.params

    def route() -> Route:
        # Imported late: most runs change nothing, and loading it takes a while.
        from ..module_utils._ssh.handshake import Route

        listed = partial(cloud.instances, wanted.specs[0].project, states=["running"])
        key = params["private_key"] or lines_of_keys(params["public_keys"]) or None
        return Route(wanted.hops, listed, params["login_user"], key)

    patience = Patience(params["wait"], params["wait_timeout"], route)
    done = converge(cloud, wanted.specs, package(cloud.name).TRAITS, patience, check)
    return Outcome(done.changed, done.diff, {"instances": [each.as_dict() for each in done.instances]}, done.warnings)


def main() -> None:
    spec = argument_spec(INSTANCE, of_instances=True)
    module = HavenModule(
        argument_spec=spec,
        required_one_of=[("name", "id")],
        mutually_exclusive=[("name", "id")],
        supports_check_mode=True,
    )
    run(module, read, ensure)


if __name__ == "__main__":
    main()
