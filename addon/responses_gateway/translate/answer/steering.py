"""How an answer that is being made learns that the client has more to say."""


class Steering:
    """One answer's. It ends before its next item once this is `wanted`, unless the client has a call of it to answer.

    The item that is open goes on to its end ("Mid-turn steering", OpenAI's guide). Hosted calls that the model has
    begun to make are all carried out: the answer's successor gets to see the results.
    """

    def __init__(self) -> None:
        self.wanted = False
