//! The command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// Where to listen, and with how many reactors.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) address: SocketAddr,
    pub(crate) threads: usize,
}

impl Arguments {
    /// Reads `--name value` pairs.
    ///
    /// # Errors
    /// A sentence for the user, when a name is unknown or a value does not fit.
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut port = 8000;
        let mut threads = 1;
        let mut words = words;
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--host" => host = parse(&name, &value)?,
                "--port" => port = parse(&name, &value)?,
                "--threads" => threads = parse(&name, &value)?,
                _ => return Err(format!("{name} is not an option")),
            }
        }
        if threads == 0 {
            return Err("--threads must be at least 1".to_owned());
        }
        Ok(Self { address: SocketAddr::new(host, port), threads })
    }
}

fn parse<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{value:?} is no value for {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<(&str, usize), &str>) {
        let read = Arguments::read(line.split_whitespace().map(str::to_owned));
        match (read, expected) {
            (Ok(read), Ok((address, threads))) => {
                assert_eq!(read, Arguments { address: address.parse().unwrap(), threads });
            }
            (Err(complaint), Err(part)) => assert!(complaint.contains(part), "{complaint}"),
            (read, expected) => panic!("{line}: {read:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn reads_names_and_values() {
        check("", Ok(("127.0.0.1:8000", 1)));
        check("--port 0 --threads 2", Ok(("127.0.0.1:0", 2)));
        check("--host ::1 --port 80", Ok(("[::1]:80", 1)));
        check("--port", Err("needs a value"));
        check("--port 70000", Err("70000"));
        check("--threads 0", Err("at least 1"));
        check("--colour red", Err("not an option"));
    }
}
