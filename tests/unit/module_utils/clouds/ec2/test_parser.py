# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EC2's answers are read as botocore reads them, which is asked beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
import pytest
from botocore.parsers import EC2QueryParser, ResponseParserError, ResponseParserFactory

from ansible_collections.haven.gpu.plugins.module_utils._clouds.ec2 import parser, shapes

MODEL = botocore.session.Session().get_service_model("ec2")
NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
TEXTS = {
    "integer": "-7",
    "long": "123456789012",
    "float": "0.25",
    "double": "1e-3",
    "boolean": "true",
    "blob": "eA==",
    "timestamp": "2026-11-21T18:00:00.000Z",
}
INSTANCE = "<reservationSet><item><instancesSet><item>{}</item></instancesSet></item></reservationSet>"


@pytest.fixture(autouse=True)
def _asked() -> Iterator[None]:
    with parser.answering("Own"):
        yield


def filled(shape: Any, name: str, depth: int = 0) -> str:
    """An element with everything that the shape may have, down to some depth, and something that it has not."""
    if shape.type_name == "structure":
        members = [] if depth > 12 else shape.members.items()
        inside = "".join(filled(member, member.serialization.get("name", key), depth + 1) for key, member in members)
        inside += "<unheardOf><item>x</item></unheardOf>"
    elif shape.type_name == "list":
        inside = "".join(filled(shape.member, "item", depth + 1) for _time in range(2))
    else:
        inside = TEXTS.get(shape.type_name, escape(f"{name} & <text> é"))
    return f"<{name}>{inside}</{name}>"


def answer(body: str, status: int = 200) -> dict[str, Any]:
    headers = {"Content-Type": "text/xml", "X-Amzn-RequestId": "r-1"}
    return {"status_code": status, "headers": headers, "body": body.encode(), "context": {}}


def both(body: str, shape: Any, status: int = 200) -> tuple[Any, Any]:
    return tuple(
        parser.parse(answer(body, status), shape) for parser in (parser.Parser(EC2QueryParser()), EC2QueryParser())
    )


@pytest.mark.parametrize("namespace", ["", f' xmlns="{NAMESPACE}"'])
@pytest.mark.parametrize(
    "action",
    [
        name
        for name in MODEL.operation_names
        if name.startswith(("Describe", "Run", "Create", "GetConsole", "Modify"))
        and MODEL.operation_model(name).output_shape
    ],
)
def test_whole_answers(action: str, namespace: str) -> None:
    shape = MODEL.operation_model(action).output_shape
    inside = filled(shape, "x").removeprefix("<x>").removesuffix("</x>")
    ours, theirs = both(f"<OwnResponse{namespace}><requestId>r-2</requestId>{inside}</OwnResponse>", shape)
    assert ours == theirs
    assert ours["ResponseMetadata"]["RequestId"] == "r-2"


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<instanceId/>",
        "<instanceId>i-1</instanceId><tagSet/>",
        "<tagSet><item><key>k</key></item><item><key/><value/></item></tagSet>",
        "<launchTime>2026-11-21T18:00:00+02:00</launchTime>",
        "<launchTime>2026-11-21T18:00:00</launchTime>",
        "<launchTime>2026-11-21</launchTime>",
        "<launchTime>1795284000</launchTime>",
        "<launchTime>Sat, 21 Nov 2026 18:00:00 GMT</launchTime>",
        "<ebsOptimized>TRUE</ebsOptimized><sourceDestCheck>false</sourceDestCheck>",
        "<keyName>&lt;a&gt; &amp; {{ b }}</keyName>",
        "<keyName> <!-- a comment --> </keyName>",
        "<keyName><![CDATA[<x>]]></keyName>",
    ],
)
def test_instances(inside: str) -> None:
    shape = MODEL.operation_model("DescribeInstances").output_shape
    ours, theirs = both(f'<OwnResponse xmlns="{NAMESPACE}">{INSTANCE.format(inside)}</OwnResponse>', shape)
    assert ours == theirs


def listing(inside: str) -> list[dict[str, Any]]:
    """The instances of an answer that is read as a listing without details reads it."""
    shape = MODEL.operation_model("DescribeInstances").output_shape
    with parser.without(*shapes.UNREAD):
        read = parser.Parser(EC2QueryParser()).parse(answer(inside), shape)
    return [instance for reservation in read["Reservations"] for instance in reservation["Instances"]]


def test_what_is_unwanted_is_left_out_and_nothing_else() -> None:
    shape = MODEL.operation_model("DescribeInstances").output_shape
    inside = filled(shape, "OwnResponse")
    whole = both(inside, shape)[1]
    instances = [instance for reservation in whole["Reservations"] for instance in reservation["Instances"]]
    assert all(instance.pop("NetworkInterfaces") for instance in instances)
    assert listing(inside) == instances
    # Afterwards everything is wanted again.
    assert both(inside, shape)[0]["Reservations"][0]["Instances"][0]["NetworkInterfaces"]


def test_an_instance_is_the_same_without_what_is_unwanted() -> None:
    shape = MODEL.operation_model("DescribeInstances").output_shape
    inside = filled(shape, "OwnResponse")
    whole = both(inside, shape)[1]["Reservations"][0]["Instances"][0]
    assert shapes.instance(listing(inside)[0], "r", None) == shapes.instance(whole, "r", None)


@pytest.mark.parametrize("around", ["<![CDATA[{}]]>", "<!--{}-->x"])
def test_nothing_is_left_out_by_what_a_text_says(around: str) -> None:
    name = around.format("<networkInterfaceSet>")
    (found,) = listing(
        f"<OwnResponse>{INSTANCE.format(f'<keyName>{name}</keyName><imageId>ami</imageId>')}</OwnResponse>"
    )
    assert found["ImageId"] == "ami"


def test_an_empty_element_takes_nothing_of_the_next_instance_with_it() -> None:
    gone = "<item><networkInterfaceSet/><instanceId>i-1</instanceId></item>"
    there = "<item><networkInterfaceSet><item/></networkInterfaceSet><instanceId>i-2</instanceId></item>"
    found = listing(f"<OwnResponse>{INSTANCE.format(f'</item>{gone}{there}<item>')}</OwnResponse>")
    assert [instance["InstanceId"] for instance in found if instance] == ["i-1", "i-2"]


def test_an_answer_that_ends_within_what_is_unwanted_is_no_answer() -> None:
    with pytest.raises(parser.NotTheApiError):
        listing(f"<OwnResponse>{INSTANCE.format('<networkInterfaceSet><item>')}")


def test_errors_are_botocores_own() -> None:
    shape = MODEL.operation_model("DescribeInstances").output_shape
    error = "<Response><Errors><Error><Code>A.B</Code><Message>c</Message></Error></Errors><RequestID>1</RequestID>"
    ours, theirs = both(f"{error}</Response>", shape, 400)
    assert ours == theirs
    assert ours["Error"]["Code"] == "A.B"
    assert both("<html>busy</html>", shape, 503)[0]["Error"]["Code"] == "503"
    with pytest.raises(ResponseParserError):
        parser.Parser(EC2QueryParser()).parse(answer("<cut off", 400), shape)


# StopInstances' answer is read, DeleteTags has nothing in it.
@pytest.mark.parametrize("action", ["DescribeInstances", "StopInstances", "DeleteTags"])
@pytest.mark.parametrize(
    "body",
    [
        "",
        "<cut off",
        "<!DOCTYPE html><html><body>Sign in</body></html>",
        '<html xmlns="http://www.w3.org/1999/xhtml"><head/><body><p>Sign in</p></body></html>',
        "<ListAllMyBucketsResult/>",
        "<OtherResponse/>",
    ],
)
def test_what_is_not_the_apis_answer_is_never_taken_for_an_empty_one(action: str, body: str) -> None:
    shape = MODEL.operation_model(action).output_shape
    with pytest.raises(parser.NotTheApiError):
        parser.Parser(EC2QueryParser()).parse(answer(body), shape)


def test_sessions_use_it_for_ec2_alone() -> None:
    factory = parser.Factory(ResponseParserFactory())
    assert isinstance(factory.create_parser("ec2"), parser.Parser)
    assert not isinstance(factory.create_parser("json"), parser.Parser)
