"""The room of OpenAI's Responses API: responses, conversations, and the items in them."""
