"""Pays refunds, and asks for those above the limit. approval.js runs this, and offers refunds and approve.

Input: `limit`. The host knows the limit too, and refuses to pay more without an approval: this code is not trusted.
"""

from collections import Counter


async def due():
    """Refunds, oldest first. A page is asked for when the one before is done with."""
    number = 0
    while page := await refunds.page(number):
        for refund in page:
            yield refund
        number += 1


async def settle():
    paid = Counter()
    refused = {}
    async for refund in due():
        customer = refund["customer"]
        if refund["amount"] > limit:
            so_far = f"{customer} was paid {paid[customer] / 100:.2f} in this run"
            # The process may end here, and another one goes on with all of this: `paid`, `refused`, and `due()` half read.
            answer = await approve(refund["id"], so_far)
            if not answer["approved"]:
                refused[refund["id"]] = answer["reason"]
                continue
        paid[customer] += await refunds.pay(refund["id"])
        print(f"paid {refund['id']}")
    return {"paid": paid, "refused": refused}


result = await settle()
