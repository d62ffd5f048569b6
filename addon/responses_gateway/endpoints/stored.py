"""What the endpoints of stored things share."""

from collections.abc import Callable

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.state.storage import Storage
from responses_gateway.state.store import Store, StoreError
from responses_gateway.turn.runtime import Runtime


async def read[Result](storage: Storage, question: Callable[[Store], Result]) -> Result:
    """What `question` says of the store. Raises GatewayError when the store cannot answer."""
    try:
        return await storage.read(question)
    except StoreError as error:
        raise unavailable(error) from None


async def write[Result](storage: Storage, change: Callable[[Store], Result]) -> Result:
    """Change the store. Raises GatewayError when that is not possible."""
    try:
        return await storage.write(change)
    except StoreError as error:
        raise unavailable(error) from None


def unavailable(error: StoreError) -> GatewayError:
    return GatewayError(str(error), 503, "server_error", type="server_error")


def require_storage(runtime: Runtime, response_id: str) -> Storage:
    """The store; without one, nothing is found."""
    if runtime.state.storage is None:
        raise not_found(response_id, " This gateway keeps no responses.")
    return runtime.state.storage


def not_found(response_id: str, more: str = "") -> GatewayError:
    return GatewayError(f"Response with id '{response_id}' not found.{more}", 404, "not_found", param="id")
