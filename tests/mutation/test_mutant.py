"""A mutant counts only if it says what it means, runs, and is noticed by a test's own assertion."""

from pathlib import Path

import pytest

from tests.mutation.mutant import Mutation, MutationGone, copy_tree, run_tests


@pytest.mark.parametrize("source", ["nothing of it\n", "something\nsomething\n"], ids=["gone", "twice"])
def test_a_mutation_that_does_not_say_one_thing_is_an_error(tmp_path: Path, source: str) -> None:
    (tmp_path / "module.py").write_text(source, encoding="utf-8")
    mutation = Mutation(name="a mutation", file="module.py", was="something", becomes="", tests=())

    with pytest.raises(MutationGone):
        mutation.apply(tmp_path)


def test_a_mutant_that_does_not_even_start_is_not_noticed(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "broken")
    broken = Mutation(name="broken", file="store/work.py", was="def record_group(", becomes="def (", tests=())
    broken.apply(tree)

    assert not run_tests(tree, ["tests/store/test_compare_and_set.py"]).noticed
