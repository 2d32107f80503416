"""What every gateway must do, as tests; they ship with the package, for the authors of other backends.

`gateway.py` holds what all must do, `abilities.py` and `conversations.py` what each ability asks, `fake.py` a gateway
to build on. It needs pytest and anyio, which lettabot itself does not."""
