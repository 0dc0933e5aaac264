"""Ships the parts of an order, each when it is paid. A job for workers: worker.js runs it, and offers orders and wait_for.

Input: `order`.
"""


async def paid(parts):
    """Parts and what was paid so far. Days may lie between two of them, and each may be met by another process."""
    total = 0
    for part in parts:
        payment = await wait_for(f"payment:{order}:{part['id']}")
        total += payment["amount"]
        yield part, total


async def deliver():
    tracking = []
    total = 0
    async for part, total in paid(await orders.parts(order)):
        if total < part["due"]:
            return {"shipped": tracking, "paid": total, "missing": part["due"] - total}
        tracking.append(await orders.ship(order, part["id"]))
    return {"shipped": tracking, "paid": total}


result = await deliver()
