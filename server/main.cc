#include "server/app/run.h"

int main(int argc, char** argv) { return larder::RunServer(argc, argv); }
