"""aiohttp: `client` sends portable variables, `server` sets those that requests bring."""
