"""Doubly linked lists of records: of transfers on a link, of prefetches and questions, of a tier's blocks.

A list knows the places of its first and last record; a record is in a list by a Node among its fields, which lies
``links`` words behind its place. Whoever calls knows which list a record is in by which node.
"""

from typing import Any

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.records.record import Record, view


class Node(Record):
    """A record's neighbours in a list, or NONE at its ends."""

    prev: At[Any]
    next: At[Any]


class List(Record):
    """The ends of a list, or NONE twice if it is empty."""

    first: At[Any]
    last: At[Any]


node_at = view(Node)


@internal
def clear(list_: List) -> None:
    """Make it empty."""
    list_.first = list_.last = NONE


def clear_all(*lists: List) -> None:
    """The same from Python, of several."""
    for list_ in lists:
        list_.first = list_.last = NONE


@internal
def prepend(base: Any, list_: List, place: At[Any], links: int) -> None:
    """Put a record, which is in no list by this node, before all others."""
    node, second = node_at(base, place + links), list_.first
    node.prev, node.next = NONE, second
    list_.first = place
    if second == NONE:
        list_.last = place
    else:
        node_at(base, second + links).prev = place


@internal
def append(base: Any, list_: List, place: At[Any], links: int) -> None:
    """Put a record, which is in no list by this node, behind all others."""
    node, last = node_at(base, place + links), list_.last
    node.prev, node.next = last, NONE
    list_.last = place
    if last == NONE:
        list_.first = place
    else:
        node_at(base, last + links).next = place


@internal
def remove_first(base: Any, list_: List, links: int) -> None:
    """Take the first record out."""
    behind = node_at(base, list_.first + links).next
    list_.first = behind
    if behind == NONE:
        list_.last = NONE
    else:
        node_at(base, behind + links).prev = NONE


@internal
def remove(base: Any, list_: List, place: At[Any], links: int) -> None:
    """Take a record out of the list that it is in."""
    node = node_at(base, place + links)
    before, behind = node.prev, node.next
    if before == NONE:
        list_.first = behind
    else:
        node_at(base, before + links).next = behind
    if behind == NONE:
        list_.last = before
    else:
        node_at(base, behind + links).prev = before
