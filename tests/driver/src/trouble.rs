//! What goes wrong, from the environment.

/// The environment variable that asks for trouble.
pub const VARIABLE: &str = "BSQ_TEST_DRIVER";

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    #[default]
    Nothing,
    /// The library that toolkits install to link with, which can do nothing.
    Stub,
    /// The driver is older than CUDA 11.4.
    OldDriver,
    NoDevice,
    /// The device is a Turing.
    OldDevice,
    /// The driver's assembler does not know the version of the PTX.
    OldAssembler,
    /// The assembler finds a mistake.
    InvalidPtx,
    /// Hardly any memory is free.
    LittleMemory,
    /// Memory looks free, and is not given.
    NoMemory,
    /// A launch goes wrong, and nothing works any more.
    Lost,
    /// Streams cannot be recorded.
    NoRecording,
}

impl Trouble {
    pub const ALL: [(&str, Trouble); 11] = [
        ("nothing", Trouble::Nothing),
        ("stub", Trouble::Stub),
        ("old-driver", Trouble::OldDriver),
        ("no-device", Trouble::NoDevice),
        ("old-device", Trouble::OldDevice),
        ("old-assembler", Trouble::OldAssembler),
        ("invalid-ptx", Trouble::InvalidPtx),
        ("little-memory", Trouble::LittleMemory),
        ("no-memory", Trouble::NoMemory),
        ("lost", Trouble::Lost),
        ("no-recording", Trouble::NoRecording),
    ];

    /// What the environment asks for.
    ///
    /// # Panics
    /// If it asks for something else.
    pub fn asked() -> Trouble {
        let name = std::env::var(VARIABLE).unwrap_or_else(|_| "nothing".to_string());
        let known = Trouble::ALL.iter().find(|known| known.0 == name);
        known
            .unwrap_or_else(|| panic!("{VARIABLE}={name} is not known"))
            .1
    }
}
