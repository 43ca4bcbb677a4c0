# Sourced after scripts/setup: lets cargo build and run binaries that embed the CPython of .venv.

[[ -d $HOME/.cargo/bin ]] && PATH=$PATH:$HOME/.cargo/bin
PYO3_PYTHON=$PWD/.venv/bin/python
libdir=$("$PYO3_PYTHON" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR") or "")')
LD_LIBRARY_PATH=$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# A build for another Python of the same version, in the same place, is not used again.
PYO3_ENVIRONMENT_SIGNATURE=$("$PYO3_PYTHON" -c 'import sys; print(sys.version, sys.base_prefix)')$libdir
export PATH PYO3_PYTHON LD_LIBRARY_PATH PYO3_ENVIRONMENT_SIGNATURE
