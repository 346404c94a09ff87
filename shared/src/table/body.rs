//! Bodies as they lie in the table: compressed when that helps, in one attribute or in chunks.

use std::borrow::Cow;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::fault::Fault;
use super::{Item, Table, number, text};
use crate::job::MAX_BODY_BYTES;

/// Shorter bodies are kept as they came: readable by eye in any tool.
const COMPRESS_FROM: usize = 4 * 1024;

/// The most, packed, that lies in the event's own item. Its every change costs as much as its size
/// (Amazon DynamoDB, "Write request units"), and the stream carries it.
const INLINE_MAX: usize = 64 * 1024;

/// The most, packed, in one chunk. An item has at most 400 KB.
const CHUNK_BYTES: usize = 350 * 1024;

/// Level 3 of 22, as on the queue.
const ZSTD_LEVEL: i32 = 3;

/// The attributes that hold a body or say where it is.
pub(super) const BODY: &str = "body";
pub(super) const ENCODING: &str = "body_encoding";
pub(super) const CHUNKS: &str = "body_chunks";

/// A body, packed.
pub(super) struct Packed<'a> {
    bytes: Cow<'a, [u8]>,
    compressed: bool,
}

impl<'a> Packed<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        if body.len() >= COMPRESS_FROM
            && let Ok(packed) = zstd::bulk::compress(body, ZSTD_LEVEL)
            && packed.len() < body.len()
        {
            return Self { bytes: Cow::Owned(packed), compressed: true };
        }
        Self { bytes: Cow::Borrowed(body), compressed: false }
    }

    /// What does not fit the item itself; nothing when all does.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let outside = if self.bytes.len() > INLINE_MAX { &self.bytes[..] } else { &[] };
        outside.chunks(CHUNK_BYTES)
    }

    /// Adds the body, or the number of its chunks, to an item.
    pub(super) fn add_to(&self, item: &mut Item) {
        let chunks = self.chunks().count();
        if chunks == 0 {
            item.insert(BODY.to_owned(), blob(&self.bytes));
        } else {
            item.insert(CHUNKS.to_owned(), number(chunks));
        }
        if self.compressed {
            item.insert(ENCODING.to_owned(), text("zstd"));
        }
    }
}

impl Table {
    /// Writes the chunks of a body, if it has any, under keys that `sk` makes of their numbers.
    pub(super) async fn put_chunks(
        &self,
        packed: &Packed<'_>,
        pk: &str,
        sk: impl Fn(usize) -> String,
        expires: Timestamp,
    ) -> Result<(), Fault> {
        for (at, chunk) in packed.chunks().enumerate() {
            self.client
                .put_item()
                .table_name(&self.name)
                .item("pk", text(pk))
                .item("sk", text(sk(at)))
                .item(BODY, blob(chunk))
                .item("expires", number(expires.as_second()))
                .send()
                .await
                .map_err(|error| Fault::of("writing a body", &error))?;
        }
        Ok(())
    }

    /// Lets as many chunks end with the event that they belong to.
    pub(super) async fn end_chunks_with(
        &self,
        event: &Item,
        count: usize,
        pk: &str,
        sk: impl Fn(usize) -> String,
    ) -> Result<(), Fault> {
        let Some(expires) = event.get("expires") else { return Ok(()) };
        for at in 0..count {
            let update = self
                .client
                .update_item()
                .table_name(&self.name)
                .key("pk", text(pk))
                .key("sk", text(sk(at)))
                .condition_expression("attribute_exists(pk)")
                .update_expression("SET expires = :expires")
                .expression_attribute_values(":expires", expires.clone());
            match update.send().await {
                // It has been erased meanwhile.
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(UpdateItemError::is_conditional_check_failed_exception) => {}
                ended => {
                    ended.map_err(|error| Fault::of("writing a body", &error))?;
                }
            }
        }
        Ok(())
    }

    /// Removes as many chunks.
    pub(super) async fn delete_chunks(
        &self,
        count: usize,
        pk: &str,
        sk: impl Fn(usize) -> String,
    ) -> Result<(), Fault> {
        for at in 0..count {
            self.client
                .delete_item()
                .table_name(&self.name)
                .key("pk", text(pk))
                .key("sk", text(sk(at)))
                .send()
                .await
                .map_err(|error| Fault::of("removing a body", &error))?;
        }
        Ok(())
    }
}

fn blob(bytes: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// How many chunks an item says its body has.
pub(super) fn chunk_count(item: &Item) -> usize {
    item.get(CHUNKS).and_then(|count| count.as_n().ok()).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// The body of an item and its chunks, in their order; `None` when it has none, or when a chunk is
/// missing.
pub(super) fn unpack(item: &Item, chunks: &[&Item]) -> Option<Vec<u8>> {
    let bytes =
        |item: &Item| item.get(BODY).and_then(|body| body.as_b().ok()).map(|blob| blob.as_ref().to_vec());
    let packed = match chunk_count(item) {
        0 => bytes(item)?,
        count if count == chunks.len() => {
            chunks.iter().map(|chunk| bytes(chunk)).collect::<Option<Vec<_>>>()?.concat()
        }
        _ => return None,
    };
    match item.get(ENCODING).and_then(|encoding| encoding.as_s().ok()).map(String::as_str) {
        None => Some(packed),
        Some("zstd") => zstd::bulk::decompress(&packed, MAX_BODY_BYTES).ok(),
        Some(_) => None,
    }
}
