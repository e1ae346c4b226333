"""The data sets by name, with what a list says of them; their files are read by `bench.data.datasets`."""

DATASETS = {
    "cifar10": "50,000 training and 10,000 test images of 32x32 pixels, 10 classes; downloaded when missing",
    "cifar100": "50,000 training and 10,000 test images of 32x32 pixels, 100 classes; downloaded when missing",
    "digits": "1,797 grey images of 8x8 pixels, 10 classes; ships inside scikit-learn, every fifth is a test image",
    "imagenet": "image folders train/<class> and val/<class> ; any classes; 224x224 unless a profile differs",
}
