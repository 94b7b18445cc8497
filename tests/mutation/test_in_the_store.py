"""Every safeguard of the store is one: without it a test fails that passes with it."""

from pathlib import Path

import pytest

from tests.mutation.mutant import Mutation, copy_tree, noticing, run_tests
from tests.mutation.mutations import IN_THE_STORE


@pytest.mark.parametrize("mutation", IN_THE_STORE, ids=lambda mutation: mutation.name)
def test_without_it_a_test_fails(tmp_path: Path, mutation: Mutation) -> None:
    tree = copy_tree(tmp_path / "mutant")
    mutation.apply(tree)

    verdict = run_tests(tree, mutation.tests)

    assert verdict.noticed, verdict.output


def test_with_all_of_them_the_same_tests_pass(tmp_path: Path) -> None:
    verdict = run_tests(copy_tree(tmp_path / "whole"), noticing(IN_THE_STORE))

    assert verdict.passed, verdict.output
