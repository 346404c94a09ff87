//! Functions as Lambda wants them: a zip file with one executable, `bootstrap`.

use std::io::{Cursor, Write};

use anyhow::Context;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Packs one binary. The same binary always gives the same bytes.
pub fn pack(binary: &[u8]) -> anyhow::Result<Vec<u8>> {
    // Not compressed: the bytes travel to this machine only.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(binary.len() + 512)));
    zip.start_file("bootstrap", options)
        .and_then(|()| Ok(zip.write_all(binary)?))
        .and_then(|()| zip.finish())
        .map(Cursor::into_inner)
        .context("a function could not be packed")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn holds_one_executable_and_nothing_that_changes() {
        let packed = pack(b"binary").unwrap();
        assert_eq!(packed, pack(b"binary").unwrap());
        let mut archive = zip::ZipArchive::new(Cursor::new(packed)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "binary");
    }
}
