//! How ranks find one another: all go to rank 0, which tells each where the others are.
//!
//! Then each connects to those before it and waits for those behind it. What was said first over a
//! connection tells ranks from others who happen to knock.

use super::Meeting;
use crate::CollectiveError;
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a rank says first, in the byte order of its machine: buffers are sent as they are.
const MAGIC: u32 = 0x6273_7132;

/// Between two looks at whether somebody has come.
const PAUSE: Duration = Duration::from_millis(20);

/// A link to each rank, none to oneself, and how many ranks are on this machine.
type Joined = (Vec<Option<TcpStream>>, usize);

/// Who comes: magic, size, rank, and the port that others reach it at.
struct Hello {
    size: u32,
    rank: u32,
    port: u16,
}

/// Where a rank is reached: at a port of another machine, or of rank 0's.
struct Place {
    machine: Option<IpAddr>,
    port: u16,
}

impl Meeting {
    pub(super) fn join(&self) -> Result<Joined, CollectiveError> {
        let failed = |reason: io::Error| {
            let (host, port) = (&self.host, self.port);
            CollectiveError::NotStarted(format!("{host}:{port}: {reason}"))
        };
        let end = Instant::now() + self.patience;
        match self.rank {
            0 => self.receive_all(end).map_err(failed),
            _ => self.go(end).map_err(failed),
        }
    }

    /// Of rank 0: waits for all, and tells each where all are.
    fn receive_all(&self, end: Instant) -> io::Result<Joined> {
        let address = self.resolve()?;
        let any: IpAddr = match address.ip() {
            ip if ip.is_loopback() => ip,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let listener = TcpListener::bind((any, self.port))?;
        let (mut links, mut places) = (self.nobody(), self.nobody());
        places[0] = Some(Place {
            machine: None,
            port: 0,
        });
        self.accept(&listener, end, 1, &mut links, |link, hello| {
            let (own, other) = (link.local_addr()?.ip(), link.peer_addr()?.ip());
            places[hello.rank as usize] = Some(Place {
                machine: (own != other).then_some(other),
                port: hello.port,
            });
            Ok(())
        })?;
        let places: Vec<Place> = places.into_iter().flatten().collect();
        let table: Vec<u8> = places.iter().flat_map(Place::to_bytes).collect();
        for mut link in links.iter().flatten() {
            link.write_all(&table)?;
        }
        Ok((links, local(&places, 0)))
    }

    /// Of the others: goes to rank 0, then to those before it, and waits for those behind it.
    fn go(&self, end: Instant) -> io::Result<Joined> {
        let mut first = self.knock(end)?;
        let any: IpAddr = match first.local_addr()?.ip() {
            ip if ip.is_loopback() && self.size == 2 => ip,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let listener = TcpListener::bind((any, 0))?;
        let hello = Hello {
            size: self.size as u32,
            rank: self.rank as u32,
            port: listener.local_addr()?.port(),
        };
        first.write_all(&hello.to_bytes())?;
        let mut table = vec![0; Place::BYTES * self.size];
        first.set_read_timeout(Some(left(end)))?;
        first
            .read_exact(&mut table)
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    io::Error::other("rank 0 still waits for others")
                }
                _ => io::Error::other("who listens there is no rank 0 of as many ranks"),
            })?;
        first.set_read_timeout(None)?;
        let places = table.chunks_exact(Place::BYTES).map(Place::of_bytes);
        let places: Vec<Place> = places.collect();
        let of_first = first.peer_addr()?.ip();
        let mut links = self.nobody();
        for (rank, place) in places.iter().enumerate().take(self.rank).skip(1) {
            let address = (place.machine.unwrap_or(of_first), place.port);
            let mut link = TcpStream::connect_timeout(&address.into(), left(end))?;
            link.write_all(&hello.to_bytes())?;
            links[rank] = Some(link);
        }
        links[0] = Some(first);
        self.accept(&listener, end, self.rank + 1, &mut links, |_, _| Ok(()))?;
        for link in links.iter().flatten() {
            ready(link)?;
        }
        Ok((links, local(&places, self.rank)))
    }

    /// Takes in the ranks from `first` on.
    fn accept(
        &self,
        listener: &TcpListener,
        end: Instant,
        first: usize,
        links: &mut [Option<TcpStream>],
        mut note: impl FnMut(&TcpStream, &Hello) -> io::Result<()>,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        while links[first.min(links.len())..].iter().any(Option::is_none) {
            let missing = || {
                let missing = (first..self.size).filter(|&rank| links[rank].is_none());
                let missing: Vec<String> = missing.map(|rank| rank.to_string()).collect();
                io::Error::other(format!("rank {} has not come", missing.join(", ")))
            };
            let mut link = match listener.accept() {
                Ok((link, _)) => link,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if Instant::now() > end {
                        return Err(missing());
                    }
                    sleep(PAUSE);
                    continue;
                }
                Err(error) => return Err(error),
            };
            link.set_nonblocking(false)?;
            // Whoever says nothing, or something else, is no rank.
            link.set_read_timeout(Some(Duration::from_secs(5)))?;
            let mut said = [0; Hello::BYTES];
            let hello = link
                .read_exact(&mut said)
                .ok()
                .and_then(|()| Hello::of_bytes(said));
            let is_expected = |hello: &Hello| {
                let rank = hello.rank as usize;
                hello.size as usize == self.size && (first..self.size).contains(&rank)
            };
            let Some(hello) = hello.filter(is_expected) else {
                continue;
            };
            link.set_read_timeout(None)?;
            ready(&link)?;
            note(&link, &hello)?;
            if links[hello.rank as usize].replace(link).is_some() {
                let twice = format!("two processes say that they are rank {}", hello.rank);
                return Err(io::Error::other(twice));
            }
        }
        Ok(())
    }

    /// Connects to rank 0, which may not be there yet.
    fn knock(&self, end: Instant) -> io::Result<TcpStream> {
        loop {
            let connected = self
                .resolve()
                .and_then(|address| TcpStream::connect_timeout(&address, left(end)));
            match connected {
                Ok(link) => return Ok(link),
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => sleep(PAUSE),
            }
        }
    }

    fn resolve(&self) -> io::Result<SocketAddr> {
        let addresses: Vec<_> = (&*self.host, self.port).to_socket_addrs()?.collect();
        let first = addresses.iter().find(|address| address.is_ipv4());
        let first = first.or(addresses.first()).copied();
        first.ok_or_else(|| io::Error::other("no such host"))
    }

    fn nobody<T>(&self) -> Vec<Option<T>> {
        (0..self.size).map(|_| None).collect()
    }
}

/// Makes a link send what it is given at once, and notice within seconds when the other machine is gone.
fn ready(link: &TcpStream) -> io::Result<()> {
    link.set_nodelay(true)?;
    let socket = SockRef::from(link);
    let second = Duration::from_secs(1);
    let asks = TcpKeepalive::new().with_time(4 * second);
    socket.set_tcp_keepalive(&asks.with_interval(second).with_retries(4))?;
    // Nothing is asked while something is on its way.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(8 * second))?;
    Ok(())
}

/// Time until `end`, more than none.
fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now()).max(PAUSE)
}

/// How many ranks are on the machine of `rank`.
fn local(places: &[Place], rank: usize) -> usize {
    let own = places[rank].machine;
    places.iter().filter(|place| place.machine == own).count()
}

impl Hello {
    const BYTES: usize = 14;

    fn to_bytes(&self) -> Vec<u8> {
        let words = [MAGIC, self.size, self.rank].map(u32::to_ne_bytes);
        [&words.concat()[..], &self.port.to_ne_bytes()].concat()
    }

    fn of_bytes(bytes: [u8; Hello::BYTES]) -> Option<Hello> {
        let (words, port) = bytes.as_chunks::<4>();
        let [magic, size, rank] = [0, 1, 2].map(|i| u32::from_ne_bytes(words[i]));
        let port = u16::from_ne_bytes([port[0], port[1]]);
        (magic == MAGIC).then_some(Hello { size, rank, port })
    }
}

impl Place {
    /// An address as IPv6, all zeros where it is rank 0's machine, and a port.
    const BYTES: usize = 18;

    fn to_bytes(&self) -> Vec<u8> {
        let address = match self.machine {
            None => Ipv6Addr::UNSPECIFIED,
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped(),
            Some(IpAddr::V6(address)) => address,
        };
        [&address.octets()[..], &self.port.to_le_bytes()].concat()
    }

    fn of_bytes(bytes: &[u8]) -> Place {
        let (address, port) = bytes.split_at(16);
        let address: [u8; 16] = address.try_into().expect("16 bytes");
        let address = Ipv6Addr::from(address);
        Place {
            machine: (!address.is_unspecified()).then(|| IpAddr::from(address).to_canonical()),
            port: u16::from_le_bytes([port[0], port[1]]),
        }
    }
}
