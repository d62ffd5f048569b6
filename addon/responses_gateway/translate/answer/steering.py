"""How an answer that is being made learns that the client has more to say."""


class Steering:
    """One answer's. It ends before its next item once this is `wanted`, unless the client has a call of it to answer.

    The item that is open goes on to its end, and so does a hosted call that runs ("Mid-turn steering", OpenAI's guide).
    """

    def __init__(self) -> None:
        self.wanted = False
