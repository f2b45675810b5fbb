"""The transport shared by everything that speaks OpenAI's protocol."""
