/* A Python with the runtime of ThreadSanitizer in it: the instrumented engine finds it there. */
int Py_BytesMain(int argc, char **argv);

int main(int argc, char **argv) {
    return Py_BytesMain(argc, argv);
}
