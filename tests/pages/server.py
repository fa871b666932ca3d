"""The program whose timeline the tests and the documentation show: requests, one in each task.

It uses the standard library's contextvars. The pool is given no context, so `render` misses the
user.
"""

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

user = contextvars.ContextVar("user")
request = contextvars.ContextVar("request")
locale = contextvars.ContextVar("locale", default="C")

pool = ThreadPoolExecutor(1, thread_name_prefix="render")
LOCALES = {"Ada": "en", "Grace": "en", "Alan": "fr"}


def render():
    return f"Hello {user.get('stranger')}"


async def audit():
    token = request.set("audit")
    await asyncio.sleep(0.04)
    request.reset(token)


async def handle(number, name):
    request.set(number)
    await asyncio.sleep(0.02 * number)
    token = user.set(name)
    auditing = asyncio.create_task(audit(), name=f"audit {name}")
    await asyncio.sleep(0.03)
    locale.set(LOCALES[name])
    page = await asyncio.get_running_loop().run_in_executor(pool, render)
    await auditing
    user.reset(token)
    return page


async def main():
    requests = [
        asyncio.create_task(handle(number, name), name=f"request {number}")
        for number, name in enumerate(LOCALES, 1)
    ]
    print(await asyncio.gather(*requests))


if __name__ == "__main__":
    locale.set("de")
    with pool:
        asyncio.run(main())
