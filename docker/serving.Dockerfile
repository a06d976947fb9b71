# Serves exports: docker build --file docker/serving.Dockerfile --tag tfrecs-serving .
# With the model inside: --target baked --build-arg EXPORT=exports/sasrec
# TensorFlow in constraints.txt has the same minor version; see lock.py.
ARG TF_SERVING_VERSION=2.20.0

FROM tensorflow/serving:${TF_SERVING_VERSION} AS server
COPY docker/serving/ /etc/tensorflow-serving/
# The base image starts tensorflow_model_server on /models/$MODEL_NAME, gRPC on port 8500 and
# REST on 8501, with the arguments of CMD.
ENV MODEL_NAME=sasrec
EXPOSE 8500 8501
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=3 \
    CMD ["bash", "/etc/tensorflow-serving/healthcheck.sh"]
USER 10001:10001
CMD ["--enable_batching=true", \
     "--batching_parameters_file=/etc/tensorflow-serving/batching.pbtxt", \
     "--monitoring_config_file=/etc/tensorflow-serving/monitoring.pbtxt"]

# The model is a part of the image.
FROM server AS baked
ARG EXPORT=exports/sasrec
COPY ${EXPORT}/ /models/${MODEL_NAME}/

# The default: the folder of the model's versions is mounted at /models/$MODEL_NAME.
FROM server AS mounted
