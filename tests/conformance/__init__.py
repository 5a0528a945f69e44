"""The Claude emulator judged from outside: by the API's OpenAPI description and by the SDK's own tests."""
