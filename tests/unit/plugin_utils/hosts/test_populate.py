# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines beside those of other inventories, and what of theirs others can read."""

from __future__ import annotations

from ansible.inventory.data import InventoryData
from ansible.template import is_trusted_as_template, trust_as_template

from ansible_collections.haven.gpu.plugins.module_utils._models import Instance
from ansible_collections.haven.gpu.plugins.plugin_utils._hosts.populate import Entry, populate
from ansible_collections.haven.gpu.plugins.plugin_utils._hosts.readable import readable
from ansible_collections.haven.gpu.plugins.plugin_utils._settings import Settings

SETTINGS = Settings(cloud="ec2", projects=("demo",), address="private")


def listed(tags: dict[str, str], inventory: InventoryData) -> InventoryData:
    instance = Instance(id="i-1", name="node", project="demo", cloud="ec2", region="r", state="running", tags=tags)
    entry = Entry(instance, SETTINGS, "/ssh_config")
    populate(inventory, [entry], ["name"], lambda _host, _variables: None, lambda _text, _known: None)
    return inventory


def test_what_another_inventory_said_of_a_host_is_replaced_as_core_replaces_it() -> None:
    inventory = InventoryData()
    inventory.add_host("node")
    inventory.set_variable("node", "haven_state", "theirs")
    inventory.set_variable("node", "haven_instance_tags", {"kept": "theirs", "both": "theirs"})
    inventory.set_variable("node", "own", "theirs")
    found = listed({"both": "ours", "new": "ours"}, inventory).get_host("node").vars
    assert found["haven_state"] == "running"
    assert found["haven_instance_tags"] == {"both": "ours", "new": "ours"}
    assert found["own"] == "theirs"


def test_a_text_that_core_has_marked_stays_so_whoever_said_the_same_before() -> None:
    template = "{{ lookup('pipe', 'id') }}"
    assert not is_trusted_as_template(readable(template))
    trusted = trust_as_template(template)
    assert readable(trusted) is trusted
    assert not is_trusted_as_template(readable(template))
    assert is_trusted_as_template(readable("plain"))
