"""Letta, cloud or self-hosted, behind the AgentGateway port. Letta's wire shapes stay in here."""
