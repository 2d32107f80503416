"""A key store in memory."""


class FakeKeyStore:
    """`asked` counts the reads; `rival` is a key that another process puts here between a read and a create."""

    def __init__(self, key: str | None = None, place: str = "memory", rival: str | None = None) -> None:
        self.key = key
        self.rival = rival
        self.asked = 0
        self._place = place

    @property
    def place(self) -> str:
        return self._place

    def read(self) -> str | None:
        self.asked += 1
        return self.key

    def create(self, key: str) -> str:
        self.key = self.key or self.rival or key
        return self.key

    def replace(self, key: str) -> None:
        self.key = key
