#!/usr/bin/env bash
# Installs the clients that are too large for every run, into .venv: Codex (400 MB) and LiteLLM with its proxy.
set -euo pipefail
cd "$(dirname "$0")/../.."
place=.venv/clients
bash tests/clients/install.sh

mkdir -p "$place/codex"
echo '{"private": true, "dependencies": {"@openai/codex": "0.169.0"}}' >"$place/codex/package.json"
npm=(npm)
if [ -x "$place/nodejs/bin/npm" ]; then
  PATH="$PWD/$place/nodejs/bin:$PATH"
  npm=("$place/nodejs/bin/npm")
fi
"${npm[@]}" install --silent --no-audit --no-fund --no-package-lock --prefix "$place/codex"

[ -x "$place/litellm/bin/python" ] || .venv/bin/python -m venv "$place/litellm"
"$place/litellm/bin/python" -m pip install --quiet --disable-pip-version-check "litellm[proxy]==1.108.7"
