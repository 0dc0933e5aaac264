"""asyncio, as far as nothing is waited for."""

import asyncio
import contextvars

request = contextvars.ContextVar("request", default=None)


async def nothing():
    return 1


async def fetch(number):
    request.set(number)
    await asyncio.sleep(0)
    if number % 10 == 9:
        raise ValueError(number)
    return request.get() * 2


async def produce(queue, count):
    for number in range(count):
        await queue.put(number)
    await queue.put(None)


async def consume(queue):
    total = 0
    while (item := await queue.get()) is not None:
        total += item
    return total


async def ticks(count):
    for number in range(count):
        yield number
        if number % 4 == 0:
            await asyncio.sleep(0)


class Connection:
    async def __aenter__(self):
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *error):
        return False


async def work():
    total = 0
    for _ in range(1500):
        total += await nothing()
    results = await asyncio.gather(*(fetch(number) for number in range(120)), return_exceptions=True)
    total += sum(result for result in results if not isinstance(result, Exception))
    queue = asyncio.Queue(5)
    async with asyncio.TaskGroup() as group:
        group.create_task(produce(queue, 200))
        consumer = group.create_task(consume(queue))
    total += consumer.result()
    async for number in ticks(400):
        total += number
    total += sum([number async for number in ticks(200) if number % 2])
    lock, semaphore = asyncio.Lock(), asyncio.Semaphore(2)
    for _ in range(80):
        async with lock, semaphore, Connection():
            total += 1
    task = asyncio.create_task(fetch(1))
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        total += 1
    future = asyncio.get_running_loop().create_future()
    future.set_result(3)
    return total + await future + await asyncio.wait_for(fetch(3), None)


for _ in range(3):
    asyncio.run(work())
