// What a shared library of the client shows to its users; everything else in it is hidden.
#ifndef LARDER_EXPORT_H_
#define LARDER_EXPORT_H_

#define LARDER_EXPORT __attribute__((visibility("default")))

#endif  // LARDER_EXPORT_H_
