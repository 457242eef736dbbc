# What dev/test and dev/demo need of the machine. Sourced, never run.
#
# Everything is installed by name from Debian's packages; Rust comes from the machine's own rustup or cargo.

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

give_up() {
  printf '\n%s\n' "$*" >&2
  exit 1
}

# Runs a command as root: as it is, or through sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    give_up "This needs root and there is no sudo. As root, run: $*"
  fi
}

# need TEST PACKAGE..: notes the packages as missing when the test fails.
missing=()
need() {
  local test=$1
  shift
  eval "$test" >/dev/null 2>&1 || missing+=("$@")
}

install_missing() {
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null ||
    give_up "Please install what these Debian packages hold, then run this again: ${missing[*]}"
  say "Installing ${missing[*]}"
  as_root apt-get update -q </dev/null >/dev/null
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null
  missing=()
}

# A linker for Rust, and a Rust as new as rust-toolchain.toml asks for.
prepare_rust() {
  need 'command -v cc' build-essential
  need 'command -v pkg-config' pkg-config
  need 'command -v curl' curl ca-certificates
  [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
  if ! command -v cargo >/dev/null; then
    if apt-cache show rustup >/dev/null 2>&1; then
      missing+=(rustup)
    else
      install_missing
      give_up "Rust is missing and this system has no package rustup. Install it from https://rustup.rs, then run this again."
    fi
  fi
  install_missing

  local wanted
  wanted=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  if command -v rustup >/dev/null && ! rustup run "$wanted" rustc --version >/dev/null 2>&1; then
    rustup toolchain install "$wanted" --profile minimal --component rustfmt,clippy
  fi
  local have
  have=$(rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n1)" = "$wanted" ] ||
    give_up "rustc is $have, and $wanted or newer is needed: https://rustup.rs"
}

# A TCP port of 127.0.0.1 that nobody listens on.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

target=${CARGO_TARGET_DIR:-target}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto} CARGO_NET_RETRY=5
