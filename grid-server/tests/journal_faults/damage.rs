//! What is damaged or missing on the disk.

use super::support::*;
use grid_core::traits::{Disk, Journal, Position};
use grid_core::{ErrorKind, PartitionId, Result};
use grid_testkit::ModelDisk;

#[tokio::test]
async fn a_damaged_byte_in_a_closed_segment_is_named() -> Result<()> {
    let disk = three_segments().await?;
    let (file, length) = segments(&disk)[0].clone();
    // The first block holds the header and padding, which means nothing.
    let header = 0..52;
    let body = 4096..length;
    for offset in header.step_by(3).chain(body.step_by(97)) {
        disk.flip(&file, offset);
        let error = refusal(&disk).await;
        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {offset}");
        let text = error.to_string();
        assert!(text.contains(&file) && text.contains("restore"), "{text}");
        disk.flip(&file, offset);
    }
    assert_eq!(tail(&open(&disk, SMALL).await?).await?, 20);
    Ok(())
}

#[tokio::test]
async fn the_place_of_the_damage_is_named() -> Result<()> {
    let disk = three_segments().await?;
    let (file, _) = segments(&disk)[1].clone();
    // Records of 2036 bytes follow the header's block.
    disk.flip(&file, 4096 + 2036 * 2 + 1000);
    let error = refusal(&disk).await.to_string();
    assert!(error.contains(&file), "{error}");
    assert!(
        error.contains(&format!("offset: {}", 4096 + 2036 * 2)),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn damage_in_the_last_segment_is_refused_when_a_later_commit_stands_behind_it() -> Result<()>
{
    let disk = ModelDisk::new(1);
    let journal = open(&disk, SMALL).await?;
    fill(&journal, 0, 4, 500).await?;
    journal.close().await?;
    let (file, length) = segments(&disk)[0].clone();
    assert_eq!(length, 4096 + 4 * 536);
    for commit in 0..3 {
        for offset in [0, 4, 8, 12, 16, 18, 20, 28, 36, 535] {
            let place = 4096 + commit * 536 + offset;
            disk.flip(&file, place);
            let error = refusal(&disk).await;
            assert_eq!(
                error.kind(),
                ErrorKind::Corrupt,
                "byte {offset} of {commit}"
            );
            disk.flip(&file, place);
        }
    }
    // Nothing stands behind the last commit: it looks like one that a crash tore.
    disk.flip(&file, 4096 + 3 * 536 + 100);
    assert_eq!(tail(&open(&disk, SMALL).await?).await?, 3);
    Ok(())
}

#[tokio::test]
async fn room_that_was_taken_ahead_hides_no_damage_and_costs_no_commit() -> Result<()> {
    for zeros in [1, 35, 36, 4096, 3 * 1024 * 1024] {
        let disk = ModelDisk::new(1);
        let journal = open(&disk, SMALL).await?;
        fill(&journal, 0, 4, 500).await?;
        journal.close().await?;
        let (file, _) = segments(&disk)[0].clone();
        disk.append(&file, vec![0; zeros].into()).await?;
        disk.flip(&file, 4096 + 2 * 536 + 100);
        assert_eq!(refusal(&disk).await.kind(), ErrorKind::Corrupt);
        disk.flip(&file, 4096 + 2 * 536 + 100);
        let journal = open(&disk, SMALL).await?;
        assert_eq!(positions(&journal).await?, [1, 2, 3, 4], "{zeros} zeros");
        fill(&journal, 4, 1, 500).await?;
        journal.close().await?;
        let again = open(&disk, SMALL).await?;
        assert_eq!(positions(&again).await?, [1, 2, 3, 4, 5]);
    }
    Ok(())
}

#[tokio::test]
async fn a_torn_end_is_cut_wherever_it_is_torn() -> Result<()> {
    for left in 0..536 {
        let disk = ModelDisk::new(1);
        let journal = open(&disk, SMALL).await?;
        fill(&journal, 0, 3, 500).await?;
        journal.close().await?;
        let (file, length) = segments(&disk)[0].clone();
        disk.cut(&file, length - 536 + left);
        let journal = open(&disk, SMALL).await?;
        assert_eq!(positions(&journal).await?, [1, 2], "{left} bytes left");
        fill(&journal, 2, 2, 10).await?;
        drop(journal);
        assert_eq!(positions(&open(&disk, SMALL).await?).await?, [1, 2, 3, 4]);
    }
    Ok(())
}

#[tokio::test]
async fn bytes_that_a_client_chose_do_not_pass_for_a_later_commit() -> Result<()> {
    let disk = ModelDisk::new(1);
    let journal = open(&disk, SMALL).await?;
    fill(&journal, 0, 2, 10).await?;
    journal.close().await?;
    // A whole segment as a value: its records have the marker of another segment.
    let (file, length) = segments(&disk)[0].clone();
    let forged = disk.read(&file, 4096, length).await?;
    let journal = open(&disk, SMALL).await?;
    journal.append(vec![append(2, 0, forged)]).await.remove(0)?;
    journal.close().await?;
    let (file, length) = segments(&disk).pop().expect("a segment");
    disk.flip(&file, length - 100);
    let journal = open(&disk, SMALL).await?;
    assert_eq!(journal.extent(PartitionId(2)).await?.tail, Position(0));
    Ok(())
}

#[tokio::test]
async fn missing_files_are_noticed() -> Result<()> {
    for missing in 0..3 {
        let disk = three_segments().await?;
        let (file, _) = segments(&disk)[missing].clone();
        disk.remove(&file).await?;
        let error = refusal(&disk).await;
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(&file), "{error}");
    }
    let disk = three_segments().await?;
    disk.remove("journal.head").await?;
    let error = refusal(&disk).await;
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("journal.head"), "{error}");

    for offset in 0..32 {
        let disk = three_segments().await?;
        disk.flip("journal.head", offset);
        let kind = refusal(&disk).await.kind();
        assert_eq!(kind, ErrorKind::Corrupt, "byte {offset}");
    }
    Ok(())
}

#[tokio::test]
async fn a_cut_closed_segment_is_noticed() -> Result<()> {
    for cut in [0, 51, 52, 4095, 4096, 5000, 4096 + 2036] {
        let disk = three_segments().await?;
        let (file, _) = segments(&disk)[0].clone();
        disk.cut(&file, cut);
        assert_eq!(
            refusal(&disk).await.kind(),
            ErrorKind::Corrupt,
            "{cut} bytes left"
        );
    }
    Ok(())
}

#[tokio::test]
async fn damage_that_is_met_while_reading_is_named() -> Result<()> {
    let disk = three_segments().await?;
    let journal = open(&disk, SMALL).await?;
    let (file, _) = segments(&disk)[0].clone();
    disk.flip(&file, 4096 + 36);
    let read = journal.read(PartitionId(1), Position(0), 1).await;
    assert_eq!(read.expect_err("it is damaged").kind(), ErrorKind::Corrupt);
    let read = journal.read(PartitionId(1), Position(1), 1).await?;
    assert_eq!(read[0].position, Position(2));
    Ok(())
}
