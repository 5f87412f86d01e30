"""The only room that opens files: volumes, deformation fields, tables, meshes for ParaView, text, JSON, YAML."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

_HOMES = {
    "read_arrays": "arrays",
    "write_arrays": "arrays",
    "write_table_csv": "csv_table",
    "CyclerHistory": "cycler",
    "read_cycler_csv": "cycler",
    "write_cycler_csv": "cycler",
    "check_free_space": "disk",
    "format_bytes": "disk",
    "read_field_attributes": "field_store",
    "read_field_zarr": "field_store",
    "write_field_zarr": "field_store",
    "FileHashes": "fingerprint",
    "describe_files": "fingerprint",
    "FrameStack": "frame_stack",
    "RadiographFiles": "holotomography",
    "holds_radiographs": "holotomography",
    "open_scan_files": "holotomography",
    "holds_image": "image",
    "read_image": "image",
    "read_model_file": "model_file",
    "write_model_file": "model_file",
    "write_movie": "movie",
    "write_nxtomo": "nxtomo_writer",
    "read_parquet": "parquet",
    "write_parquet": "parquet",
    "write_particle_tsv": "particle_table",
    "write_ro_crate": "ro_crate",
    "hold_lock": "run_lock",
    "lock_holder": "run_lock",
    "inspect_scan": "scan_inspection",
    "ScratchVolume": "scratch",
    "open_scan": "series",
    "open_series": "series",
    "prepare_series": "series",
    "reduce_series_block": "series",
    "Series": "series",
    "series_blocks": "series",
    "write_series_block": "series",
    "read_phi_tsv": "spam_tsv",
    "read_positions_tsv": "spam_tsv",
    "write_phi_tsv": "spam_tsv",
    "check_target": "staging",
    "nearest_folder": "staging",
    "staged_directory": "staging",
    "staged_file": "staging",
    "write_strain_tsv": "strain_tsv",
    "read_table_tsv": "table",
    "write_table_tsv": "table",
    "plain_json": "text",
    "read_json": "text",
    "write_bytes": "text",
    "write_json": "text",
    "write_text": "text",
    "Volume": "volume",
    "check_volume_name": "volumes",
    "open_volume": "volumes",
    "read_volume": "volumes",
    "split_name": "volumes",
    "write_volume": "volumes",
    "write_volume_vti": "vti",
    "write_strain_vtu": "vtu",
    "WaveField": "wave_field",
    "read_wave_field": "wave_field",
    "write_wave_field": "wave_field",
    "format_yaml": "yaml_file",
    "read_yaml": "yaml_file",
    "write_yaml": "yaml_file",
}

if TYPE_CHECKING:
    from voltome.io.arrays import read_arrays, write_arrays
    from voltome.io.csv_table import write_table_csv
    from voltome.io.cycler import CyclerHistory, read_cycler_csv, write_cycler_csv
    from voltome.io.disk import check_free_space, format_bytes
    from voltome.io.field_store import read_field_attributes, read_field_zarr, write_field_zarr
    from voltome.io.fingerprint import FileHashes, describe_files
    from voltome.io.frame_stack import FrameStack
    from voltome.io.holotomography import RadiographFiles, holds_radiographs, open_scan_files
    from voltome.io.image import holds_image, read_image
    from voltome.io.model_file import read_model_file, write_model_file
    from voltome.io.movie import write_movie
    from voltome.io.nxtomo_writer import write_nxtomo
    from voltome.io.parquet import read_parquet, write_parquet
    from voltome.io.particle_table import write_particle_tsv
    from voltome.io.ro_crate import write_ro_crate
    from voltome.io.run_lock import hold_lock, lock_holder
    from voltome.io.scan_inspection import inspect_scan
    from voltome.io.scratch import ScratchVolume
    from voltome.io.series import (
        Series,
        open_scan,
        open_series,
        prepare_series,
        reduce_series_block,
        series_blocks,
        write_series_block,
    )
    from voltome.io.spam_tsv import read_phi_tsv, read_positions_tsv, write_phi_tsv
    from voltome.io.staging import check_target, nearest_folder, staged_directory, staged_file
    from voltome.io.strain_tsv import write_strain_tsv
    from voltome.io.table import read_table_tsv, write_table_tsv
    from voltome.io.text import plain_json, read_json, write_bytes, write_json, write_text
    from voltome.io.volume import Volume
    from voltome.io.volumes import check_volume_name, open_volume, read_volume, split_name, write_volume
    from voltome.io.vti import write_volume_vti
    from voltome.io.vtu import write_strain_vtu
    from voltome.io.wave_field import WaveField, read_wave_field, write_wave_field
    from voltome.io.yaml_file import format_yaml, read_yaml, write_yaml

__all__ = [
    "CyclerHistory",
    "FileHashes",
    "FrameStack",
    "RadiographFiles",
    "ScratchVolume",
    "Series",
    "Volume",
    "WaveField",
    "check_free_space",
    "check_target",
    "check_volume_name",
    "describe_files",
    "format_bytes",
    "format_yaml",
    "hold_lock",
    "holds_image",
    "holds_radiographs",
    "inspect_scan",
    "lock_holder",
    "nearest_folder",
    "open_scan",
    "open_scan_files",
    "open_series",
    "open_volume",
    "plain_json",
    "prepare_series",
    "read_arrays",
    "read_cycler_csv",
    "read_field_attributes",
    "read_field_zarr",
    "read_image",
    "read_json",
    "read_model_file",
    "read_parquet",
    "read_phi_tsv",
    "read_positions_tsv",
    "read_table_tsv",
    "read_volume",
    "read_wave_field",
    "read_yaml",
    "reduce_series_block",
    "series_blocks",
    "split_name",
    "staged_directory",
    "staged_file",
    "write_arrays",
    "write_bytes",
    "write_cycler_csv",
    "write_field_zarr",
    "write_json",
    "write_model_file",
    "write_movie",
    "write_nxtomo",
    "write_parquet",
    "write_particle_tsv",
    "write_phi_tsv",
    "write_ro_crate",
    "write_series_block",
    "write_strain_tsv",
    "write_strain_vtu",
    "write_table_csv",
    "write_table_tsv",
    "write_text",
    "write_volume",
    "write_volume_vti",
    "write_wave_field",
    "write_yaml",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"voltome.io.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'voltome.io' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
