"""Data sets and augmentations by name, for what only lists or checks them; `datasets` and `augment` do the work."""

DATASETS = {
    "cifar10": "50,000 training and 10,000 test images of 32x32 pixels, 10 classes; downloaded when missing",
    "cifar100": "50,000 training and 10,000 test images of 32x32 pixels, 100 classes; downloaded when missing",
    "digits": "1,797 grey images of 8x8 pixels, 10 classes; ships inside scikit-learn, every fifth is a test image",
    "imagenet": "image folders train/<class> and val/<class> ; any classes; 224x224 unless a profile differs",
}

AUGMENTATIONS = (
    "none",
    "crop",
    "crop-flip",
    "crop-flip-cutout",
    "crop-flip-autoaugment",
    "crop-flip-autoaugment-cutout",
    "crop-flip-autoaugment-pil",
    "crop-flip-autoaugment-pil-cutout",
    "resized-crop-flip",
    "resized-crop-flip-jitter",
)
