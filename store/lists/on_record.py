"""Which auth values an onboarding has already, so that a list need not bring them again."""

from sqlalchemy import Engine, or_, select

from store.engine import reading
from store.models import CUSTOMER, ONBOARDING


def names_on_record(engine: Engine, username: str, integration_id: str, folded_name: str) -> frozenset[str]:
    """Return the names of the auth values that were sealed for this onboarding, if there is one.

    A list may leave them blank when its rows come back: what is sealed is used.
    """
    with reading(engine) as connection:
        names = connection.scalars(
            select(ONBOARDING.c.auth_names)
            .join(CUSTOMER, CUSTOMER.c.id == ONBOARDING.c.customer_id)
            .where(
                CUSTOMER.c.username == username,
                or_(
                    ONBOARDING.c.integration_key.in_([integration_id, folded_name]),
                    ONBOARDING.c.integration_id == integration_id,
                ),
            )
        ).all()
    return frozenset(name for of_one in names for name in of_one)
