"""Each mutation makes its test fail. That the test passes without it, the suite itself shows."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from tests.mutations.catalogue import MUTATIONS, Mutation
from tests.mutations.patching import changed
from tests.simulator.play import Stage

pytestmark = pytest.mark.long


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_mutation_is_noticed(stage: Stage, mutation: Mutation) -> None:
    try:
        with transaction.atomic(), changed(mutation.target, *mutation.changes):
            mutation.noticed_by(stage)
    except (AssertionError, IntegrityError) as noticed:
        # By an invariant or a row's own claim, or by the database itself.
        print(f"{mutation.name}: {str(noticed)[:300]}")
        return
    pytest.fail(
        f"“{mutation.name}” in {mutation.target} was not noticed by {mutation.noticed_by.__name__}"
    )
