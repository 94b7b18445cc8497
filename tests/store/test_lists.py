import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from states.forms import Given
from store.catalogue import AppEntry, Catalogue, CatalogueEntry
from store.lists.check import Repeated, check_list, check_rows, read_rows
from store.lists.mapping_file import MappingRefused, read_mapping
from store.lists.rows import CustomerRow, Fault

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "username,full_name,integration,auth.apiKey,map.region\n"
CATALOGUE = Catalogue(
    (
        CatalogueEntry.of("a" * 24, "Shopify", ["shopify"]),
        CatalogueEntry.of("b" * 24, "Store sync", ["magento"]),
        CatalogueEntry.of("c" * 24, "Order sync", ["magento"]),
    ),
    {"shopify": AppEntry("shopify", False, ("apiKey",))},
)


def write(tmp_path: Path, content: str | bytes, name: str = "customers.csv") -> Path:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def rows(file: Path) -> list[CustomerRow]:
    found = list(read_rows(file))
    assert not [item for item in found if isinstance(item, Fault)]
    return [item for item in found if isinstance(item, CustomerRow)]


def places(file: Path, catalogue: Catalogue | None = None) -> list[tuple[int, str]]:
    return [(fault.line, fault.column) for fault in check_list(file, catalogue).faults]


MALFORMED_CSV = {
    "an empty file": ("", [(1, "")]),
    "nothing but blank lines": ("\n\n\n", [(1, "")]),
    "a header and no row": (HEADER, [(1, "")]),
    "no username column": ("full_name,integration\nA,x\n", [(1, "username")]),
    "neither required column": ("name,app\nA,x\n", [(1, "username"), (1, "integration")]),
    "a misspelt required column": ("usernme,integration\na,x\n", [(1, "username")]),
    "a misspelt optional column": ("username,fulll_name,integration\na,A,x\n", [(1, "fulll_name")]),
    "a column twice": ("username,integration,Username\na,x,b\n", [(1, "username")]),
    "an auth column without its dot": ("username,integration,auth_apiKey\na,x,k\n", [(1, "auth_apiKey")]),
    "an auth column without a property": ("username,integration,auth.\na,x,k\n", [(1, "auth.")]),
    "a secret in a column of its own": ("username,integration,Api-Key\na,x,k\n", [(1, "Api-Key")]),
    "a blank username and a blank integration": (f"{HEADER},A,x,,\nb,B,,,\n", [(2, "username"), (3, "integration")]),
    "too few and too many cells": (f"{HEADER}a,A,x\nb,B,x,,,,z\n", [(2, ""), (3, "")]),
    "a value without a column name": ("username,integration,\na,x,\nb,x,y\n", [(3, "")]),
    "an unclosed quote": (f'{HEADER}"a,A,x,,\nb,B,,,\nc,C,x,,\n', [(2, ""), (3, "integration")]),
    "an unclosed quote before quoted rows": (
        f'{HEADER}"a","A","x","","\n"b","B","","",""\n',
        [(2, ""), (3, "integration")],
    ),
    "an unclosed quote at the end": (f'{HEADER}a,A,x,,\nb,B,x,,"\n', [(3, "")]),
    "text after a closing quote": (f'{HEADER}"a"b,A,x,,\n,B,x,,\n', [(2, ""), (3, "username")]),
    "a fault after a cell of several lines": (f'{HEADER}a,"A\nB\nC",x,,\n,B,x,,\n', [(5, "username")]),
    "latin-1": (f"{HEADER}a,A,x,,\nb,Zo\xeb,x,,\nc,C,,,\n".encode("latin-1"), [(3, ""), (4, "integration")]),
    "UTF-16 with a mark": (f"{HEADER}a,A,x,,\n".encode("utf-16"), [(1, "")]),
    "UTF-16 without a mark": (f"{HEADER}a,A,x,,\n".encode("utf-16-le"), [(1, "")]),
    "a NUL byte": (f"{HEADER}a,A,x,,\nb,\x00,x,,\n", [(3, "")]),
    "a workbook": (b"PK\x03\x04rest of the archive", [(1, "")]),
    "a compressed file": (b"\x1f\x8b\x08\x00", [(1, "")]),
    "binary": (bytes(range(4)) + b"\x00" * 100, [(1, "")]),
    "a cell that is too long": (f"{HEADER}a,{'x' * 100_001},x,,\n,B,x,,\n", [(2, "full_name"), (3, "username")]),
    "a cell that is far too long": (f"{HEADER}a,{'x' * 200_000},x,,\n,B,x,,\n", [(2, ""), (3, "username")]),
    "a line without an end": (f"{HEADER}{'x' * 5_000_000}\n,B,x,,\n", [(2, ""), (3, "username")]),
    "a control character in a username": (f"{HEADER}a\x07b,A,x,,\n", [(2, "username")]),
    "an invisible character in a username": (f"{HEADER}a\u200bb,A,x,,\n", [(2, "username")]),
    "a username like an id": (f"{HEADER}64f0c1a2b3d4e5f60718293a,A,x,,\n", [(2, "username")]),
    "a username that is too long": (f"{HEADER}{'a' * 256},A,x,,\n", [(2, "username")]),
    "rows that contradict each other": (f"{HEADER}a,A,x,k,\nb,B,x,,\na,A,X,j,\n", [(4, "")]),
    "two full names for one username": (f"{HEADER}a,A,x,,\na,B,y,,\n", [(3, "full_name")]),
    "a variable that is not set": (f"{HEADER}a,A,x,env:ONBOARD_NOWHERE,\n", [(2, "auth.apiKey")]),
    "a file that is not there": (f"{HEADER}a,A,x,file:nowhere.txt,\n", [(2, "auth.apiKey")]),
    "every fault of a row": (
        f"{HEADER},A,,file:nowhere.txt,\n",
        [(2, "auth.apiKey"), (2, "integration"), (2, "username")],
    ),
}

MALFORMED_JSONL = {
    "nothing at all": ("\n", [(1, "")]),
    "not JSON": ('{"username": "a", "integration": "x"}\n{"username": \n', [(2, "")]),
    "a list": ("[1]\n", [(1, "")]),
    "a word": ('"a"\nnull\n3\n', [(1, ""), (2, ""), (3, "")]),
    "a number as username": ('{"username": 7, "integration": "x"}\n', [(1, "username")]),
    "null as username": ('{"username": null, "integration": "x"}\n', [(1, "username")]),
    "a key twice": ('{"username": "a", "username": "b", "integration": "x"}\n', [(1, "")]),
    "an auth key twice": ('{"username": "a", "integration": "x", "auth": {"k": "1", "k": "2"}}\n', [(1, "")]),
    "auth that is no object": ('{"username": "a", "integration": "x", "auth": "k"}\n', [(1, "auth")]),
    "a number as auth value": ('{"username": "a", "integration": "x", "auth": {"k": 1}}\n', [(1, "auth.k")]),
    "an object as answer": ('{"username": "a", "integration": "x", "map": {"r": {}}}\n', [(1, "map.r")]),
    "no username": (
        '{"integration": "x"}\n{"username": "a", "integration": ""}\n',
        [(1, "username"), (2, "integration")],
    ),
    "not a number": ('{"username": "a", "integration": "x", "n": NaN}\n', [(1, "")]),
    "a number out of range": ('{"username": "a", "integration": "x", "n": [1e999]}\n', [(1, "n")]),
    "a number too long": (f'{{"username": "a", "integration": "x", "n": {"1" * 5000}}}\n', [(1, "")]),
    "too deep": ("[" * 100_000 + "\n", [(1, "")]),
    "half a character": ('{"username": "a", "integration": "x", "n": "\\ud800"}\n', [(1, "n")]),
    "a NUL character": ('{"username": "a", "integration": "x", "map": {"n": "\\u0000"}}\n', [(1, "map.n")]),
    "a nested cell too long": (f'{{"username": "a", "integration": "x", "n": ["{"x" * 100_001}"]}}\n', [(1, "n")]),
    "latin-1": (
        '{"username": "a", "integration": "x", "n": "\xeb"}\n{}'.encode("latin-1"),
        [(1, ""), (2, "username"), (2, "integration")],
    ),
    "a blank key": ('{"username": "a", "integration": "x", "": 1}\n', [(1, "")]),
}


@pytest.mark.parametrize("case", MALFORMED_CSV)
def test_every_fault_of_a_csv_is_found_with_its_line_and_column(tmp_path, case):
    content, expected = MALFORMED_CSV[case]

    assert sorted(places(write(tmp_path, content))) == sorted(expected)


@pytest.mark.parametrize("case", MALFORMED_JSONL)
def test_every_fault_of_a_jsonl_is_found_with_its_line_and_column(tmp_path, case):
    content, expected = MALFORMED_JSONL[case]

    assert sorted(places(write(tmp_path, content, "customers.jsonl"))) == sorted(expected)


@pytest.mark.parametrize("case", [*MALFORMED_CSV.values(), *MALFORMED_JSONL.values()])
def test_every_fault_says_what_to_do(tmp_path, case):
    name = "customers.jsonl" if case in MALFORMED_JSONL.values() else "customers.csv"

    assert all(fault.fault and fault.remedy for fault in check_list(write(tmp_path, case[0], name)).faults)


@pytest.mark.parametrize("name", ["customers.xlsx", "customers", "customers.csv.gz", "customers.json"])
def test_another_ending_is_refused_with_those_that_we_read(tmp_path, name):
    [fault] = check_list(write(tmp_path, HEADER, name)).faults

    assert ".csv, .jsonl, .ndjson, .tsv" in fault.remedy


def test_a_folder_is_no_list(tmp_path):
    folder = tmp_path / "customers.csv"
    folder.mkdir()

    assert "folder" in check_list(folder).faults[0].fault


def test_a_missing_file_is_a_fault(tmp_path):
    assert "no file" in check_list(tmp_path / "customers.csv").faults[0].fault


def test_a_pipe_is_refused_without_reading_it(tmp_path):
    import os

    os.mkfifo(tmp_path / "customers.csv")

    assert "regular file" in check_list(tmp_path / "customers.csv").faults[0].fault


def test_a_file_that_may_not_be_read_is_a_fault(tmp_path, monkeypatch):
    file = write(tmp_path, HEADER)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)

    assert "permissions" in check_list(file).faults[0].remedy


def test_a_row_carries_what_the_list_says(tmp_path):
    [row] = rows(write(tmp_path, "username,full_name,integration,auth.apiKey,map.region,note\na, A ,x,k,EU,hello\n"))

    assert row.model_dump(exclude={"auth"}) == {
        "line": 2,
        "username": "a",
        "full_name": "A",
        "integration": "x",
        "given": [Given(name="region", value="EU").model_dump()],
        "columns": {
            "username": "a",
            "full_name": "A",
            "integration": "x",
            "auth.apiKey": "",
            "map.region": "EU",
            "note": "hello",
        },
    }


def test_an_auth_value_shows_nowhere_but_in_auth(tmp_path):
    [row] = rows(write(tmp_path, f"{HEADER}a,A,x,canary-7,EU\n"))

    assert "canary-7" not in f"{row!r} {row} {row.model_dump()} {row.model_dump_json()}"


def test_a_fault_does_not_show_the_reference(tmp_path):
    check = check_list(write(tmp_path, f"{HEADER}a,A,x,env:CANARY_SEVEN,EU\n"))

    assert "CANARY_SEVEN" not in repr(check)


def test_jsonl_keeps_json_types(tmp_path):
    line = '{"username": "a", "integration": "x", "auth": {"k": "v"}, "map": {"n": 5, "b": true}, "tags": [1]}\n'
    [row] = rows(write(tmp_path, line, "customers.ndjson"))

    assert [given.value for given in row.given] == [5, True]


def test_blank_cells_are_no_values(tmp_path):
    [row] = rows(write(tmp_path, f"{HEADER}a,,x, ,\n"))

    assert (row.auth, row.given) == ({}, [])


@pytest.mark.parametrize("header", ["Username,Full Name,INTEGRATION", " username , full-name , integration "])
def test_case_and_spaces_in_known_columns_do_not_matter(tmp_path, header):
    [row] = rows(write(tmp_path, f"{header}\na,A,x\n"))

    assert (row.username, row.full_name, row.integration) == ("a", "A", "x")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_semicolons_and_tabs_are_recognised(tmp_path, delimiter):
    [row] = rows(write(tmp_path, f"{HEADER}a,A,x,k,EU\n".replace(",", delimiter)))

    assert row.full_name == "A"


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_counts_lines(tmp_path, ends):
    found = rows(write(tmp_path, f"{HEADER}a,A,x,,\n\nb,B,x,,\n".replace("\n", ends)))

    assert [row.line for row in found] == [2, 4]


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    [row] = rows(write(tmp_path, b"\xef\xbb\xbf" + f"{HEADER}a,A,x,,\n".encode()))

    assert row.username == "a"


def test_rows_of_blank_cells_are_passed_over(tmp_path):
    assert len(rows(write(tmp_path, f"{HEADER},,,,\na,A,x,,\n , ,,,\n"))) == 1


def test_a_row_that_says_the_same_again_is_noted_and_no_fault(tmp_path):
    file = write(tmp_path, f"{HEADER}a,A,x,k,\na,A,X,k,\n")

    assert list(check_rows(read_rows(file)))[1] == Repeated(line=3, first_line=2)


def test_a_full_name_may_be_left_blank_the_second_time(tmp_path):
    assert places(write(tmp_path, f"{HEADER}a,A,x,,\na,,y,,\n")) == []


def test_a_reference_to_a_file_starts_at_the_list(tmp_path):
    (tmp_path / "key.txt").write_text("k")
    [row] = rows(write(tmp_path, f"{HEADER}a,A,x,file:key.txt,\n"))

    assert row.auth["apiKey"].get_secret_value() == f"file:{tmp_path / 'key.txt'}"


def test_an_unknown_integration_is_a_fault_with_what_was_meant(tmp_path):
    [fault] = check_list(write(tmp_path, f"{HEADER}a,A,Shopfy,k,\n"), CATALOGUE).faults

    assert (fault.line, fault.column, "Shopify" in fault.remedy) == (2, "integration", True)


def test_an_ambiguous_integration_is_a_fault_with_the_ids(tmp_path):
    [fault] = check_list(write(tmp_path, f"{HEADER}a,A,magento,k,\n"), CATALOGUE).faults

    assert all(one in fault.fault for one in ("b" * 24, "c" * 24))


def test_a_missing_auth_property_is_a_fault(tmp_path):
    assert places(write(tmp_path, f"{HEADER}a,A,shopify,,\n"), CATALOGUE) == [(2, "auth.apiKey")]


def test_an_unknown_auth_property_is_a_fault_with_what_was_meant(tmp_path):
    file = write(tmp_path, "username,integration,auth.apiKey,auth.APIKEY\na,shopify,k,j\n")
    [fault] = check_list(file, CATALOGUE).faults

    assert (fault.column, fault.remedy) == ("auth.APIKEY", "did you mean auth.apiKey?")


def test_rows_that_name_one_integration_differently_are_the_same_onboarding(tmp_path):
    file = write(tmp_path, f"{HEADER}a,A,Shopify,k,\na,A,{'a' * 24},j,\n")

    assert places(file, CATALOGUE) == [(3, "")]


def test_an_empty_catalogue_refuses_nothing(tmp_path):
    assert places(write(tmp_path, f"{HEADER}a,A,anything,k,\n"), Catalogue()) == []


def test_all_faults_are_counted_and_a_bounded_number_kept(tmp_path):
    check = check_list(write(tmp_path, HEADER + ",A,x,,\n" * 1500))

    assert (check.fault_count, check.bad_lines, len(check.faults)) == (1500, 1500, 1000)


def test_memory_does_not_grow_with_the_list(tmp_path):
    def peak(count: int) -> int:
        lines = "".join(f"user{n},A,x,key{n},EU\n" for n in range(count))
        file = write(tmp_path, HEADER + lines, f"{count}.csv")
        del lines
        tracemalloc.start()
        check_list(file)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)

    assert peak(6000) < peak(600) + 100_000


def test_a_mapping_file_answers_for_everyone(tmp_path):
    file = write(tmp_path, '{"region": "EU", "shopify/size": 5, "b1": {"a/b": true}}', "map.json")

    assert read_mapping(file) == [
        Given(name="region", value="EU"),
        Given(name="size", value=5, block="shopify"),
        Given(name="a/b", value=True, block="b1"),
    ]


def test_a_mapping_file_may_be_toml(tmp_path):
    file = write(tmp_path, 'region = "{{ columns.region }}"\n[shopify]\nsize = 5\n', "map.toml")

    assert read_mapping(file) == [
        Given(name="region", value="{{ columns.region }}"),
        Given(name="size", value=5, block="shopify"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "line", "column"),
    [
        ("map.yaml", "a: 1", 0, ""),
        ("map.json", "", 1, ""),
        ("map.json", "[]", 1, ""),
        ("map.json", '{\n"a": }', 2, ""),
        ("map.json", '{"a": 1, "a": 2}', 0, ""),
        ("map.json", '{"a": null}', 0, "a"),
        ("map.json", '{"a": [1]}', 0, "a"),
        ("map.json", '{"app/": 1}', 0, "app/"),
        ("map.json", '{"a": "{{ username"}', 0, "a"),
        ("map.json", '{"a": "{{ usernme }}"}', 0, "a"),
        ("map.json", b'{\n"a": "\xeb"}', 2, ""),
        ("map.toml", "a = ", 0, ""),
        ("map.toml", "a = 2026-01-01", 0, "a"),
    ],
)
def test_a_mapping_file_that_cannot_be_used_is_refused(tmp_path, name, content, line, column):
    with pytest.raises(MappingRefused) as refused:
        read_mapping(write(tmp_path, content, name))

    assert [(fault.line, fault.column) for fault in refused.value.faults] == [(line, column)]
