"""What the operator decides about jobs and their callbacks, beside the domain's rules."""

import msgspec


class JobOptions(msgspec.Struct, frozen=True):
    """Callbacks go to public addresses, by https, unless more is allowed."""

    allow_http_callbacks: bool = False
    allow_private_callbacks: bool = False
