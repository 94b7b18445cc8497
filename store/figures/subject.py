"""The names of what a run is over, which knows it by its id."""

from sqlalchemy import Engine, select

from store.engine import reading
from store.models import BATCH, CUSTOMER


def batch_name(engine: Engine, batch_id: int) -> str:
    """Return a batch's name."""
    with reading(engine) as connection:
        name: str = connection.execute(select(BATCH.c.name).where(BATCH.c.id == batch_id)).scalar_one()
    return name


def customer_name(engine: Engine, customer_id: int) -> str:
    """Return a customer's username."""
    with reading(engine) as connection:
        username: str = connection.execute(select(CUSTOMER.c.username).where(CUSTOMER.c.id == customer_id)).scalar_one()
    return username
