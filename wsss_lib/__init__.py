"""Tags in, segmentation out: an executable companion to Wang, Ma, You, "Deep clustering for weakly-supervised
semantic segmentation in autonomous driving scenes", Neurocomputing 381 (2020), called *the paper* throughout.

The folders are the steps of the paper, in its order; imports go down this list only::

    data            where pixels and tags come from
    training        the one training loop, checkpoints, seeds, device and precision
    classification  what is in a simple picture                                       (paper 3.1)
    localization    where it might be: class activation maps, patches                 (paper 3.1)
    regions         what belongs together: superpixels, region pooling                (paper 3.1, 3.2)
    clustering      seeds, region network, centre loss, relabelling, rounds           (paper 3.2)
    segmentation    pixels from regions: a network trained on the labels              (paper 3.3)
    baselines       the systems that the paper compares with, one file each           (paper 4.3, 4.5)
    evaluation      one confusion matrix per data set, class and category IoU         (paper 4)
    reporting       tables, figures, verdict
    experiments     profiles, artefact store, notebook runner
"""

__version__ = "0.1.0"
