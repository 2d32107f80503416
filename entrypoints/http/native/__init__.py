"""The room of LettaBot's own API: whole answers, streams of events, jobs, status."""
