"""Medical images: MONAI's networks, NIfTI and DICOM, slices of volumes and volumes whole."""

from __future__ import annotations

from collections.abc import Iterator

import p2pkit
from p2pkit_monai.dicom import SUFFIXES, DicomReader
from p2pkit_monai.discriminators import monai_multiscale, monai_patch
from p2pkit_monai.generators import (
    monai_attention_unet,
    monai_dynunet,
    monai_swin_unetr,
    monai_unet,
    monai_unet_plus_plus,
)
from p2pkit_monai.metrics import mae_hu
from p2pkit_monai.nifti import NiftiReader
from p2pkit_monai.series import read_series, write_series
from p2pkit_monai.slices import volume_slices
from p2pkit_monai.volumes import volumes

P2PKIT_PLUGIN_API = 2

__all__ = ["DicomReader", "NiftiReader", "read_series", "write_series"]


@p2pkit.hookimpl
def p2pkit_generators() -> Iterator[p2pkit.Generator]:
    """Offer MONAI's networks."""
    yield p2pkit.Generator("monai_unet", monai_unet)
    yield p2pkit.Generator("monai_attention_unet", monai_attention_unet)
    yield p2pkit.Generator("monai_unet_plus_plus", monai_unet_plus_plus)
    yield p2pkit.Generator("monai_swin_unetr", monai_swin_unetr)
    yield p2pkit.Generator("monai_dynunet", monai_dynunet)


@p2pkit.hookimpl
def p2pkit_discriminators() -> Iterator[p2pkit.Discriminator]:
    """Offer MONAI's patch discriminators."""
    yield p2pkit.Discriminator("monai_patch", monai_patch)
    yield p2pkit.Discriminator("monai_multiscale", monai_multiscale)


@p2pkit.hookimpl
def p2pkit_readers() -> Iterator[p2pkit.Reader]:
    """Offer the formats of medical images."""
    yield p2pkit.Reader("nifti", NiftiReader, suffixes=(".nii", ".nii.gz"))
    yield p2pkit.Reader("dicom", DicomReader, suffixes=SUFFIXES)


@p2pkit.hookimpl
def p2pkit_datasets() -> Iterator[p2pkit.Dataset]:
    """Offer volumes, in slices and whole."""
    yield p2pkit.Dataset("volume_slices", volume_slices)
    yield p2pkit.Dataset("volumes", volumes)


@p2pkit.hookimpl
def p2pkit_metrics() -> Iterator[p2pkit.Metric]:
    """Offer metrics in the targets' units."""
    yield p2pkit.Metric("mae_hu", mae_hu)
