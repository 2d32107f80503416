"""The default backend: a small honest notebook agent, so that a newcomer's first command does the main job."""
