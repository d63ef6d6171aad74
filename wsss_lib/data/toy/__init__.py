"""Procedural toy data: nothing is read, everything is drawn from a seed.

``toy_streets`` plays Cityscapes (19 classes) or CamVid (11 classes), ``toy_simple`` the ImageNet pictures of the same
classes, ``toy_scenes`` VOC; ``toy_sequence`` adds motion and its true optical flow, ``next_street_frame`` the frame
after a picture of ``toy_streets``. The order of the files, each importing only from those before it::

    textures, camera          colour of a point; metres to pixels
    light, shapes             sun to sensor; panels and things
    geometry, canvas          things to outlines; outlines to picture and label map
    bodywork .. buildings     what there is: vehicles, people, roadside, houses
    drives, street, population  a town, a street of it, its life
    recipe                    what a picture depends on
    streets, sequences, backdrops, simple, scenes   the data sets
"""

from wsss_lib.data.toy.scenes import toy_scenes
from wsss_lib.data.toy.sequences import ToySequence, next_street_frame, toy_sequence
from wsss_lib.data.toy.simple import toy_simple
from wsss_lib.data.toy.streets import toy_streets

__all__ = ["ToySequence", "next_street_frame", "toy_scenes", "toy_sequence", "toy_simple", "toy_streets"]
