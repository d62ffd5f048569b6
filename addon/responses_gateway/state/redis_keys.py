"""The keys of the Redis store, and the scripts that have to find them unchanged while they run."""

_PREFIX = "responses-gateway:1:"
"""1 is the version of what the keys hold."""

USED, SIZES, BYTES, NOTED = (f"{_PREFIX}{name}" for name in ("used", "sizes", "bytes", "noted"))

PUT = """
local head, node, sizes, bytes, live = unpack(KEYS)
local age, id, size, input, output, chain = unpack(ARGV, 1, 6)
if redis.call('HGET', head, 'final') == '1' then return 0 end
local known = redis.call('HGET', sizes, id)
redis.call('HSET', node, 'output', output)
if redis.call('HEXISTS', node, 'chain') == 0 then redis.call('HSET', node, 'input', input, 'chain', chain) end
redis.call('HSET', sizes, id, size)
redis.call('INCRBY', bytes, size - (known or 0))
redis.call('HSET', head, unpack(ARGV, 7))
redis.call('EXPIRE', node, age)
redis.call('EXPIRE', head, age)
if redis.call('HGET', head, 'final') == '1' then redis.call('DEL', live) end
return 1
"""
"""Stores a response, unless it is final already. What it was made of stays as it was stored first."""

RENEW = """
if redis.call('HGET', KEYS[1], 'final') ~= '0' or redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'lease', ARGV[2])
return 1
"""
ADD_EVENTS = """
if redis.call('HGET', KEYS[1], 'final') ~= '0' or redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
"""
ADOPT = """
local chain = redis.call('HGET', KEYS[1], 'chain')
if chain then redis.call('HINCRBY', KEYS[1], 'children', 1) end
return chain
"""
DROP_UNNEEDED = """
if tonumber(redis.call('HGET', KEYS[1], 'children') or 0) > 0 or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""


def response(response_id: str) -> str:
    return f"{_PREFIX}response:{response_id}"


def node(response_id: str) -> str:
    return f"{_PREFIX}node:{response_id}"


def live(response_id: str) -> str:
    return f"{_PREFIX}live:{response_id}"


def item(owner: str, item_id: str) -> str:
    return f"{_PREFIX}item:{owner}:{item_id}"


def replay(owner: str, key: str) -> str:
    return f"{_PREFIX}replay:{owner}:{key}"


def conversation(conversation_id: str) -> str:
    return f"{_PREFIX}conversation:{conversation_id}"


def items(conversation_id: str) -> str:
    return f"{_PREFIX}conversation-items:{conversation_id}"


def order(conversation_id: str) -> str:
    return f"{_PREFIX}conversation-order:{conversation_id}"


def note(name: str) -> str:
    return f"{_PREFIX}note:{name}"
