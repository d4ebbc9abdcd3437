#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make, change, stop and remove instances.

Longer than 500 lines because all but 60 are its documentation, which Ansible reads from this file.
"""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: Make, change, stop, start and remove instances
version_added: "0.1.0"
description:
  - Brings one instance or many to a state, with one set of options for every cloud. A list of names is one call, and
    its instances are made side by side.
  - An instance is known by its project and name. Both are set by the very call that creates it, so that a lost answer,
    a killed run or a second controller at the same time make no second instance.
  - On OpenStack a server in ERROR that never ran counts for nothing; it is removed when its name is used again. A
    creation that fails is told with nova's reason, and its server, ports, floating IP and volumes are removed.
  - Options that are not given are neither compared nor changed on an instance that exists.
  - Tags, firewalls, growing disks, disk types, termination protection, shutdown behaviour and O(ec2.imdsv2) are changed
    in place, on OpenStack also O(public_address), O(openstack.floating_ip) and the name; O(instance_type) while the
    instance is stopped. Any other difference is an error that names it, unless O(recreate) is set.
extends_documentation_fragment:
  - haven.gpu.cloud
  - haven.gpu.clouds.instances
  - haven.gpu.cloud.attributes
options:
  name:
    description:
      - One name or a list of names. 1 to 63 letters, digits, dots, dashes or underscores each.
      - Exactly one of O(name) and O(id) is required.
    type: list
    elements: str
  id:
    description:
      - One id or a list of ids of instances that exist and carry the project's tag, whatever their names are. They can
        be V(running), V(stopped), V(restarted), V(shelved) or V(absent).
      - Where one of several cannot be dealt with, the others still are, and the error names it.
    type: list
    elements: str
  state:
    description:
      - V(present) means that the instance exists; a missing one is created and runs, a stopped one stays so.
      - V(running) means that it runs; it is created or started when it does not.
      - V(stopped) stops it, V(restarted) restarts it or starts a stopped one. Both fail when it does not exist.
      - V(shelved), on OpenStack only, stops it, keeps its disk as an image and frees its place and GPU, which a stopped
        server goes on using and paying for. V(running) brings it back, when there is room.
      - V(rebuilt), on OpenStack only, makes its root disk anew at each run, from O(image) or the image it has, and
        keeps its id, addresses and volumes. What was on the root disk is lost.
      - V(absent) terminates it. Data disks stay unless O(delete_volumes) or their own C(delete_with_instance) says
        otherwise.
    type: str
    choices: [present, running, stopped, restarted, shelved, rebuilt, absent]
    default: present
  image:
    description:
      - What the instance is made from. Required to create one.
      - Only an O(image.id) is compared with an instance that exists. A name or parameter means what is newest at
        creation, so that a newer image published later is no difference.
    type: dict
    suboptions:
      id:
        description: The id of the image.
        type: str
      name:
        description: A name, or a pattern with C(*) and C(?); the newest image that matches is taken.
        type: str
      owner:
        description:
          - Who must own the image found by O(image.name), as an account number or an alias.
          - When it is not given, only the account's own images and those of Amazon count, since anybody can publish an
            image under any name. OpenStack shows the project's own and the operator's public ones anyway, and takes the
            id of a project here.
        type: str
      parameter:
        description: >-
          On EC2 the SSM parameter that holds the id, as AWS publishes them for its Deep Learning images.
        type: str
  instance_type:
    description:
      - The cloud's name for the size (OpenStack's flavor). Required to create an instance.
    type: str
  key_pair:
    description:
      - The name of a key pair of the project, made with M(haven.gpu.keypair).
    type: str
  firewalls:
    description:
      - Names of firewalls of the project made with M(haven.gpu.firewall), or ids. A name stands for what carries the
        project's mark; any other security group is given by its id.
      - Without any, a new instance gets the network's default group.
    type: list
    elements: str
  subnet:
    description:
      - The id of the subnet. OpenStack shows it only of instances that were made with it.
    type: str
  availability_zone:
    description: The availability zone.
    type: str
  public_address:
    description:
      - Whether an instance has a public address. A new one has none unless this is V(true).
      - On OpenStack it is a floating IP, which is allocated for it and released with it, and can be changed later.
    type: bool
  private_address:
    description: The address to have in the subnet; for one instance only.
    type: str
  root_volume:
    description:
      - The disk of the system. On OpenStack it is a volume only if O(openstack.boot_from_volume) is, or something is
        asked of it here.
    type: dict
    suboptions:
      size_gib:
        description: The size in GiB; the image's own when it is not given. It can grow in place and never shrink.
        type: int
      type:
        description: The cloud's type of disk. EC2's V(gp3) when it is not given.
        type: str
      encrypted:
        description:
          - Whether it is encrypted. A new one is on EC2 unless this is V(false). On OpenStack the type decides, and
            V(true) makes sure of it.
        type: bool
      delete_with_instance:
        description: Whether it goes with the instance. A new one does unless this is V(false).
        type: bool
  data_volumes:
    description:
      - More disks. They are made with the instance and cannot be added to one that exists.
    type: list
    elements: dict
    suboptions:
      device:
        description:
          - The device name to attach it as. V(/dev/sdf) and following when it is not given. OpenStack keeps it as the
            volume's metadata, and the guest chooses its own.
        type: str
      size_gib:
        description: The size in GiB. It can grow in place and never shrink.
        type: int
        required: true
      type:
        description: The cloud's type of disk. EC2's V(gp3) when it is not given.
        type: str
      encrypted:
        description:
          - Whether it is encrypted. A new one is on EC2 unless this is V(false). On OpenStack the type decides, and
            V(true) makes sure of it.
        type: bool
      delete_with_instance:
        description: Whether it goes with the instance. A new one stays unless this is V(true).
        type: bool
  user_data:
    description:
      - What cloud-init shall do, in any form it knows. It is sent beside a part of our own (see O(record_host_key)).
      - It cannot be changed later, and it is compared with that of the instance only when it is given here. OpenStack
        does not show it, so that a salted fingerprint is kept as the tag C(haven:user-data).
    type: str
  login_user:
    description:
      - The user to log in as, kept as the tag C(haven:login-user) for the inventory, and used by O(wait=ssh).
    type: str
  tags:
    description:
      - More tags. C(Name) and everything that begins with C(haven:) or C(aws:) is not yours to set.
      - On OpenStack they are the server's metadata, with letters, digits, spaces and C(-_:.) in their names.
    type: dict
  purge_tags:
    description: Whether tags that are not in O(tags) are removed.
    type: bool
    default: false
  spot:
    description:
      - Buy it on the spot market, as a one-time request. An empty dictionary means at most the on-demand price.
      - OpenStack has none and refuses it.
    type: dict
    suboptions:
      max_price:
        description: The most to pay, in dollars an hour.
        type: str
  shutdown_behavior:
    description: What happens when the instance is shut down from inside. OpenStack stops it always and refuses this.
    type: str
    choices: [stop, terminate]
  termination_protection:
    description:
      - Whether the API refuses to terminate the instance. With O(state=absent) or O(recreate), V(false) lifts it first.
      - On OpenStack it is the server's lock, which refuses every other change, too, also to others. This module lifts
        it for a moment to make changes that are asked for.
    type: bool
  hibernation:
    description: Whether stopping keeps the memory. It can be said at creation only. OpenStack refuses it.
    type: bool
  record_host_key:
    description:
      - Whether the instance's ed25519 host key is read from its console, once, and kept as the tag C(haven:host-key).
      - For this a part is added to the user data that makes cloud-init print the host keys at every boot.
      - Set it to V(false) for images without cloud-init; their user data is then sent as it is.
    type: bool
    default: true
  host_key_source:
    description:
      - How the host key of a new instance becomes known. V(console) lets the instance make one and reads it from its
        console.
      - V(injected) makes one here and gives it to the instance with its user data, so that it is known from the first
        moment, also where a cloud has no console, or a slow one. It is not kept here. It stays in the user data,
        however, and whoever may read that B(can be this instance), that is, on EC2 those with
        C(ec2:DescribeInstanceAttribute), on OpenStack the operators, and on the instance every process that reaches
        the metadata address, unless P(haven.gpu.egress#role) keeps it from them.
      - It counts when an instance is created. After O(state=rebuilt) the key is read from the console.
    type: str
    choices: [console, injected]
    default: console
  host_key_signer:
    description:
      - With O(host_key_source=injected), the file on the controller with the private key of your SSH certificate
        authority, without a passphrase, or with its public key, ending in C(.pub), where an agent holds the other.
      - It signs the new host key for the name C(NAME.PROJECT), as long as the authority is trusted. An inventory
        P(haven.gpu.instances#inventory) with O(haven.gpu.instances#inventory:host_key_authority) believes such
        certificates instead of tags.
    type: path
  wait:
    description:
      - How far to wait. V(running) until the instances are in the wanted state and their host keys are known, V(ssh)
        until each has also answered a strictly verified ssh handshake through the O(hops), V(none) not at all.
    type: str
    choices: [running, ssh, none]
    default: running
  wait_timeout:
    description: How long to wait in all, in seconds.
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
      - Whether an instance that differs in what cannot be changed may be terminated and made anew. Its root disk
        is lost.
    type: bool
    default: false
  delete_volumes:
    description:
      - With O(state=absent), also delete the disks that were made with the instances of these names and stayed.
      - On OpenStack, a data disk that stayed is attached again, with its data, to the next instance of that name which
        asks for one at that device and is not smaller.
    type: bool
    default: false
notes:
  - Who may write tags decides whom you trust. Strict ssh connections believe the tag C(haven:host-key), so a person
    who may change tags of these instances (C(ec2:CreateTags)) can direct connections elsewhere. Grant that permission
    only to those who may also log in, and never to the instances' own instance profile.
  - On EC2, creating takes the permissions C(ec2:DescribeInstances), C(ec2:DescribeImages), C(ec2:RunInstances),
    C(ec2:CreateTags) and C(ec2:GetConsoleOutput), each further option that of its own calls. A missing one is named.
  - On OpenStack it takes the role C(member). Whoever may change the metadata of a server decides whom you trust there.
  - OpenStack knows no client tokens. Where two controllers make an instance of one name at once, the one that was
    created first, or has the lower id, stays, and each controller removes only the one it made itself.
  - EC2 has one call to create each instance, and one each to read its console and to write its tag.
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
- name: Make a private notebook instance and wait until it can be reached
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

- name: Make three workers at once, from the newest image AWS publishes
  haven.gpu.instance:
    cloud: ec2
    project: pathology
    name: [worker-1, worker-2, worker-3]
    image:
      parameter: /aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id
    instance_type: g6.xlarge
    spot: {max_price: "0.60"}

- name: Give it a bigger GPU, which needs a stop
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

- name: Make one on OpenStack, with an address of its own
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

- name: Free its GPU for the night, and keep its disk
  haven.gpu.instance:
    cloud: openstack
    project: pathology
    name: jupyter-demo
    state: shelved
    openstack: {cloud: aida}

- name: Remove it with its data
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
    - The instances of these names as they are now, in the order of O(name); those that are absent are left out.
    - In check mode those that exist, as they are.
    - On failure the instances that exist in spite of it.
  returned: always, when there are any
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
        - One of C(pending), C(running), C(stopping), C(stopped), C(shelved), C(failed), C(terminating) and
          C(terminated). C(shelved) and C(failed), which is a server in ERROR, are OpenStack's.
      type: str
      sample: running
    instance_type:
      description: The cloud's name for the size.
      type: str
      sample: g6.xlarge
    gpu:
      description:
        - Its GPUs, with the memory of one of them; V(none) without any. OpenStack knows models and memory only from the
          names its operator gave, so that the model may be C(GPU) or C(VGPU) and the memory 0.
      type: dict
      sample: {model: L4, count: 1, memory_gib: 22.4}
    image:
      description: The id of the image it was made from.
      type: str
      sample: ami-0ad3b8c1f5e6a7b90
    private_address:
      description: The private address.
      type: str
      sample: 10.0.0.20
    public_address:
      description: The public address; it may change when the instance is stopped and started.
      type: str
      sample: null
    subnet:
      description: The id of the subnet.
      type: str
      sample: subnet-0ad3b8c1f5e6a7b90
    key_pair:
      description: The key pair it was made with.
      type: str
      sample: alice
    firewalls:
      description: The names of its firewalls.
      type: list
      elements: str
      sample: [notebooks]
    launched_at:
      description: When it was started last, in UTC.
      type: str
      sample: "2026-03-01T09:00:00Z"
    spot:
      description: Whether it was bought on the spot market.
      type: bool
      sample: false
    host_key:
      description: Its ed25519 host key, as recorded in its tags; V(none) when it is not known.
      type: str
      sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAr2m4Tn0f8P0mB4W7i6bq2y1lJt9o3m5Zk7h0s8Qx1d
    login_user:
      description: The user to log in as, as recorded in its tags.
      type: str
      sample: ubuntu
    volumes:
      description:
        - Its disks. C(size_gib), C(type) and C(encrypted) are V(none) where they were not read, which takes a call of
          its own.
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
from ..module_utils._module import Outcome, argument_spec, run
from ..module_utils._options import INSTANCE, specs
from ..module_utils._plan import check_supported
from ..module_utils._ssh.hops import WantedHop, wanted_hops

if TYPE_CHECKING:
    from ..module_utils._ssh.handshake import Route


class Wanted(NamedTuple):
    specs: list[Spec]
    hops: tuple[WantedHop, ...]
    params: dict[str, Any]


def read(params: dict[str, Any]) -> Wanted:
    wanted = Wanted(specs(params), wanted_hops(params["hops"]), params)
    check_supported(wanted.specs[0], package(params["cloud"]).TRAITS)
    return wanted


def ensure(cloud: Cloud, wanted: Wanted, check: bool) -> Outcome:
    params = wanted.params

    def route() -> Route:
        # Not before: most runs change nothing, and this takes a while to load.
        from ..module_utils._ssh.handshake import Route

        listed = partial(cloud.instances, wanted.specs[0].project, states=["running"])
        return Route(wanted.hops, listed, params["login_user"], params["private_key"])

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
